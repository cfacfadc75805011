"""The time as events, journals and stores have it."""

from __future__ import annotations

from time import time_ns


def now_ms() -> int:
    """Ms since the epoch, by this machine's clock."""
    return time_ns() // 1_000_000
