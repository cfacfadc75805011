"""A record of the events topic, and what it asks of the store."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from matih_schemas import codec
from matih_schemas.errors import InvalidEvent
from matih_workers.dead_letters import headers
from matih_workers.operations import operations

if TYPE_CHECKING:
    from matih_schemas.codec import Reframe
    from matih_workers.changes import Change

_SHOWN_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Received:
    """One record as it came.

    Attributes:
        timestamp_ms: when the broker received it, in ms since the epoch.
        event: what acknowledges it.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 0
    event: Any = None

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.value or b"")

    @property
    def checksum(self) -> int:
        """Tells this record from another one at the same offset of a topic made anew."""
        return zlib.crc32(self.value or b"", zlib.crc32(self.key or b""))

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Read:
    """A record with what it asks for: a change, or nothing, or it is invalid."""

    record: Received
    change: Change | None = None
    invalid: InvalidEvent | None = None


def read(record: Received, tenants: frozenset[str] = frozenset(), reframe: Reframe = codec.as_single_object) -> Read:
    """What the record asks for.

    Args:
        record: as it came.
        tenants: those that may write to the topic; empty for all.
        reframe: reads both framings. What it raises but for `InvalidEvent` passes.
    """
    try:
        return Read(record, _change(record, tenants, reframe))
    except InvalidEvent as error:
        return Read(record, invalid=error)


def _change(record: Received, tenants: frozenset[str], reframe: Reframe) -> Change | None:
    if record.value is None:
        raise InvalidEvent("malformed", "the record has no value")
    event = codec.decode(reframe(record.value, record.headers))
    key = codec.event_key(event)
    if key != record.key:
        found = "none" if record.key is None else repr(record.key[:_SHOWN_MAX])
        raise InvalidEvent("key_mismatch", f"the record's key is {found}, its event's {key!r}")
    change = operations(event)
    if change is not None and tenants and event.tenant_id not in tenants:
        allowed = ", ".join(sorted(tenants))[:_SHOWN_MAX]
        raise InvalidEvent(
            "tenant_mismatch", f"tenant {event.tenant_id!r} may not write to {record.topic}, {allowed} may"
        )
    if change is None or headers.number(record.headers, headers.REDRIVEN) is None:
        return change
    return replace(change, redriven=True)
