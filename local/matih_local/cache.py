"""Where downloads are kept: outside every MATIH_HOME, for all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from matih_local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder for downloads: MATIH_CACHE_DIR, else the user's cache, else one of this user's own in /var/tmp.

    Raises:
        LocalError: none of them can be written to.
    """
    for folder in _candidates(environment):
        if _is_ours(folder):
            return folder
    raise LocalError("no folder for downloads can be written to: set MATIH_CACHE_DIR to one")


def _candidates(environment: Mapping[str, str]) -> list[Path]:
    if chosen := environment.get("MATIH_CACHE_DIR"):
        return [Path(chosen).absolute()]
    if base := environment.get("XDG_CACHE_HOME"):
        users = [Path(base) / "matih"]
    elif home := environment.get("HOME"):
        users = [Path(home) / ".cache" / "matih"]
    else:
        users = []
    return [*users, shared_folder("cache")]


def shared_folder(purpose: str) -> Path:
    """This user's folder for a purpose in /var/tmp: survives a reboot, and every user may enter its parent."""
    uid = os.getuid() if hasattr(os, "getuid") else 0
    return Path("/var/tmp") / f"matih-{purpose}-{uid}"  # noqa: S108 (its owner is checked before use)


def _is_ours(folder: Path) -> bool:
    """Makes the folder; in /var/tmp somebody else may have made it before us."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError:
        return False
    return os.access(folder, os.W_OK) and (not hasattr(os, "getuid") or owner == os.getuid())
