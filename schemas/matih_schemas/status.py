"""Which of a run's statuses holds: the greatest by (attempt, class, time, event id), in whatever order they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from matih_schemas.events import Heartbeat, RunCreated, RunEnded

if TYPE_CHECKING:
    from matih_schemas.events import TrackingEvent

RUNNING_CLASS: Final = 0
"""Begun, heard of, or silent: of these the latest holds. A death that the kernel told, and a said end, stand above."""
INFERRED_CLASS: Final = 1
EXPLICIT_CLASS: Final = 2


class StatusOrder(NamedTuple):
    """What decides between two statuses of a run: the greater one holds."""

    attempt: int
    rank: int
    occurred_at: int
    event_id: str

    def text(self) -> str:
        """The form in which it stands in the tag `matih.status`."""
        return ",".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> StatusOrder | None:
        """The order in a tag's text; None if somebody else wrote something else there."""
        parts = text.split(",", 3)
        try:
            return cls(int(parts[0]), int(parts[1]), int(parts[2]), parts[3])
        except (ValueError, IndexError):
            return None


def status_order(event: TrackingEvent) -> StatusOrder | None:
    """The order of the status that the event gives its run; None if it gives none."""
    payload = event.payload
    if isinstance(payload, RunEnded) and payload.owner:
        rank = RUNNING_CLASS if payload.silent else INFERRED_CLASS if payload.inferred else EXPLICIT_CLASS
    elif isinstance(payload, RunCreated | Heartbeat) and payload.owner:
        rank = RUNNING_CLASS
    else:
        return None
    return StatusOrder(payload.attempt, rank, event.occurred_at, event.event_id)
