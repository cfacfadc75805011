"""Nested configurations as flat params: `{"opt": {"lr": 0.1}}` is `opt.lr`. Pure functions."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final

from matih_tracking.mend import Mended

DEPTH_MAX: Final = 32
"""Levels that are taken apart; what lies deeper (a configuration that holds itself) is one str()."""

Path = tuple[str, ...]


def flatten(params: object) -> Mended[object]:
    """The leaves of a mapping, an argparse or simple namespace, or a dataclass, by their path joined with dots.

    An empty mapping inside is a leaf. Of two paths that join to one key (`{"a": {"b": 1}, "a.b": 2}`) the later one's
    key gets `_` and 8 hexadecimal characters of its path's hash.
    """
    flat: Mended[object] = Mended()
    branches = _branches(params)
    if branches is None:
        answer = "they are dropped; give a dict, a Namespace or a dataclass"
        flat.note("not_a_mapping", f"params are a {type(params).__name__}", answer)
        return flat
    for path, value in _leaves(branches, ()):
        key = ".".join(path)
        if key in flat.kept:
            other = f"{key}_{hashlib.sha256(repr(path).encode()).hexdigest()[:8]}"
            flat.note("key_changed", f"two params have the key {key!r}", f"the later one became {other!r}")
            key = other
        flat.kept[key] = value
    return flat


def _leaves(branches: Mapping[Any, object], above: Path) -> Iterator[tuple[Path, object]]:
    for key, value in branches.items():
        path = (*above, _name(key))
        inner = _branches(value) if len(path) < DEPTH_MAX else None
        if inner:
            yield from _leaves(inner, path)
        else:
            yield path, value


def _branches(value: object) -> Mapping[Any, object] | None:
    """What a container holds, None if it is a leaf."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name, None) for part in dataclasses.fields(value)}
    if isinstance(value, _namespaces()):
        return vars(value)
    return None


def _namespaces() -> tuple[type, ...]:
    argparse = sys.modules.get("argparse")  # a Namespace exists only where somebody imported it
    return (SimpleNamespace,) if argparse is None else (SimpleNamespace, argparse.Namespace)


def _name(key: object) -> str:
    try:
        return str(key)
    except Exception:  # noqa: BLE001  # a user's __str__ may raise anything; the type's name still says something
        return type(key).__name__
