"""What a shipper tells about itself: `shipper.json` in its spool, read by `matih status` and those who wait for it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Final

from matih_tracking.journal.ownership import State, state

if TYPE_CHECKING:
    from pathlib import Path

STATE_FILE: Final = "shipper.json"
LOCK_FILE: Final = "shipper.lock"
LOG_FILE: Final = "shipper.log"


@dataclass
class ShipperState:
    """A shipper's own words.

    Attributes:
        pid: its process.
        started: ms since the epoch.
        log: its log file.
        brokers, topic: where it delivers to; the API's URL and no topic with an event gateway.
        state: `delivering`, or `waiting` while Kafka is away.
        error: why it waits, or the last trouble; None if there was none.
        entries: acknowledged since its start.
        skipped: entries that no event could be made of.
        lost_bytes: what dead writers left behind their last whole entry.
        removed: journals delivered and deleted since its start.
        unreadable: journals left alone, with the reason.
    """

    pid: int
    started: int
    log: str
    brokers: str
    topic: str
    state: str = "delivering"
    error: str | None = None
    entries: int = 0
    skipped: int = 0
    lost_bytes: int = 0
    removed: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)


def write(spool: Path, told: ShipperState) -> None:
    """Writes the state; a reader sees the old one or the new one.

    Raises:
        OSError: it can't be written.
    """
    unfinished = spool / f".{STATE_FILE}.{os.getpid()}"
    unfinished.write_text(json.dumps(asdict(told)) + "\n")
    unfinished.replace(spool / STATE_FILE)


def read(spool: Path) -> ShipperState | None:
    """What the spool's last shipper said; it may be gone by now. None if there was none that can be read."""
    try:
        told = json.loads((spool / STATE_FILE).read_text())
        known = {part.name for part in fields(ShipperState)}
        return ShipperState(**{name: value for name, value in told.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def is_running(spool: Path) -> bool:
    """Whether a shipper holds the spool. Cheap: fit for asking once a second."""
    lock = spool / LOCK_FILE
    return lock.exists() and state(lock) is not State.FREE
