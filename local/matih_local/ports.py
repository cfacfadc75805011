"""Ports of a MATIH_HOME: chosen once, written down, and never given to another home of this user."""

from __future__ import annotations

import fcntl
import json
import random
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matih_local.errors import LocalError
from matih_local.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

# Below the range from which systems take the ports of outgoing connections: those could sit on ours after a restart.
_FIRST: Final = 20_000
_LAST: Final = 32_000


def ports_of(home: Path, names: tuple[str, ...], registry: Path) -> dict[str, int]:
    """The home's port for each name; new names get a free one that no other home in the registry has.

    Args:
        home: the MATIH_HOME; its choice is kept in `ports.json`.
        names: of what listens.
        registry: a folder that all homes of this user share.

    Raises:
        LocalError: no port is free.
    """
    kept = _read(home / "ports.json")
    if all(name in kept for name in names):
        return {name: kept[name] for name in names}
    with _locked(registry / "ports.lock"):
        others = _others(registry / "homes.json", home)
        taken = {port for other in others for port in _read(Path(other) / "ports.json").values()} | set(kept.values())
        for name in names:
            if name not in kept:
                kept[name] = _free_port(taken)
                taken.add(kept[name])
        write_whole(home / "ports.json", json.dumps(kept))
        write_whole(registry / "homes.json", json.dumps([*others, str(home)]))
    return {name: kept[name] for name in names}


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port(taken: set[int]) -> int:
    candidates = [port for port in range(_FIRST, _LAST) if port not in taken]
    for port in random.sample(candidates, len(candidates)):
        if is_free(port):
            return port
    raise LocalError(f"no port between {_FIRST} and {_LAST} is free on 127.0.0.1: stop something that listens there")


def _others(registry: Path, home: Path) -> list[str]:
    """The homes that still are there."""
    known: list[str] = json.loads(registry.read_text()) if registry.exists() else []
    return [other for other in known if other != str(home) and Path(other).is_dir()]


def _read(path: Path) -> dict[str, int]:
    try:
        found: dict[str, int] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
