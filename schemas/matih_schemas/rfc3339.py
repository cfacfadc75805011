"""Moments as programs and people read them: RFC 3339, UTC. Pure, without a clock."""

from __future__ import annotations

from datetime import datetime, timezone


def rfc3339(ms: int, precision: str = "milliseconds") -> str:
    """The moment, from ms since the epoch, as `2026-01-31T08:00:00.000Z`; `precision` is `isoformat`'s timespec."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat(timespec=precision).replace("+00:00", "Z")
