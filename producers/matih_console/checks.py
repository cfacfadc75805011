"""What `matih doctor` asks: each package brings its own checks by an entry point (group `matih.checks`)."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final, Literal

from matih_console.commands import DISTRIBUTION

GROUP: Final = "matih.checks"
SECONDS: Final = 10.0
"""Seconds that a check may take; all run side by side."""
State = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        state: `skipped` where there is nothing to look at.
        detail: what was seen, one line, without secrets.
        remedy: what to do; empty if nothing.
    """

    state: State
    detail: str
    remedy: str = ""


Check = Callable[[], Finding]
"""Looks at one thing; may raise anything, which counts as failed."""


def load() -> dict[str, Check]:
    """All checks by name; a package whose extra is missing is a check that says so."""
    found: dict[str, Check] = {}
    for name, module, function in _entry_points():
        try:
            bring: Callable[[], Mapping[str, Check]] = getattr(importlib.import_module(module), function)
            found |= bring()
        except ModuleNotFoundError as error:  # noqa: PERF203 - there are four
            if (error.name or "").startswith("matih_"):
                raise
            missing = Finding("skipped", f"{error.name} is not installed", f"pip install '{DISTRIBUTION}[{name}]'")
            found[name] = lambda missing=missing: missing  # type: ignore[misc]
    return found


def run(checks: Mapping[str, Check], seconds: float = SECONDS) -> dict[str, Finding]:
    """Runs all checks side by side; one that takes longer than `seconds` has failed."""
    found: dict[str, Finding] = {}
    threads = {}
    for name, check in checks.items():
        threads[name] = threading.Thread(target=_run, args=(name, check, found), daemon=True)
        threads[name].start()
    deadline = time.monotonic() + seconds
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    late = Finding("failed", f"no answer within {seconds:.0f} s", "look whether the server hangs, or a firewall drops")
    return {name: found.get(name, late) for name in checks}


def _run(name: str, check: Check, found: dict[str, Finding]) -> None:
    try:
        found[name] = check()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the check has found
        found[name] = Finding("failed", f"{type(error).__name__}: {' '.join(str(error).split())}")


def _entry_points() -> list[tuple[str, str, str]]:
    """Name, module and function of our own distribution's."""
    try:
        points = distribution(DISTRIBUTION).entry_points.select(group=GROUP)
    except PackageNotFoundError:
        return []
    return sorted((point.name, point.module, point.attr) for point in points)
