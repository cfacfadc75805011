"""What a replay would do, counted without doing it: pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from matih_schemas import codec
from matih_schemas.errors import InvalidEvent
from matih_schemas.events import RunLogged
from matih_schemas.rfc3339 import rfc3339
from matih_workers.replay.selection import tenant_of

if TYPE_CHECKING:
    from matih_workers.records import Received

UNREADABLE: Final = "(unreadable)"


class Survey:
    """Counts records one by one.

    Attributes:
        kinds, tenants: records by the kind of their payload, and by tenant.
        runs: their ids.
        points: metric points, those that come twice included.
        first, last: when Kafka received the first and the last, in ms since the epoch; None if there are none.
    """

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.tenants: Counter[str] = Counter()
        self.runs: set[str] = set()
        self.points = 0
        self.first: int | None = None
        self.last: int | None = None

    def count(self, record: Received) -> None:
        """Counts one."""
        self.tenants[tenant_of(record)] += 1
        self.first = record.timestamp_ms if self.first is None else min(self.first, record.timestamp_ms)
        self.last = record.timestamp_ms if self.last is None else max(self.last, record.timestamp_ms)
        try:
            event = codec.decode(record.value or b"")
        except InvalidEvent:
            self.kinds[UNREADABLE] += 1
            return
        self.kinds[event.kind] += 1
        run_id = getattr(event.payload, "run_id", None)
        if run_id:
            self.runs.add(run_id)
        if isinstance(event.payload, RunLogged):
            self.points += sum(len(group.value) for group in event.payload.groups)

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "events": sum(self.kinds.values()),
            "by_kind": dict(self.kinds.most_common()),
            "by_tenant": dict(self.tenants.most_common()),
            "runs": len(self.runs),
            "metrics": self.points,
            "received_first": None if self.first is None else rfc3339(self.first),
            "received_last": None if self.last is None else rfc3339(self.last),
        }
