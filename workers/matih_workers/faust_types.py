"""Faust, as far as we use it, with types: the only file that knows the inside of its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from matih_workers.records import Received

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class Stream(Protocol):
    """What an agent is given."""

    current_event: Any
    """The event whose value a processor sees."""

    def add_processor(self, processor: Any) -> None:
        """Lets an awaitable function see each value, in order, before it is taken; the stream waits for it."""

    def noack_take(self, max_: int, within: float) -> AsyncIterator[Sequence[Any]]:
        """Batches of events, none of them acknowledged."""

    async def ack(self, event: Any) -> bool:
        """Acknowledges one event: its offset may be committed."""


class App(Protocol):
    """A Faust application."""

    in_worker: bool

    @property
    def crashed(self) -> bool:
        """Whether a part of it has failed for good."""

    async def start(self) -> None:
        """Starts everything; returns when it runs."""

    async def stop(self) -> None:
        """Commits, leaves the group, ends everything."""


def received(event: Any) -> Received:
    """The record of an event; its key and value are the raw bytes."""
    message = event.message
    headers = message.headers or ()
    return Received(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple(headers.items() if hasattr(headers, "items") else headers),
        timestamp_ms=round((message.timestamp or 0) * 1000),
        event=event,
    )


def partitions(assigned: Any, topic: str) -> frozenset[int]:
    """The topic's partitions among Faust's (topic, partition) pairs."""
    return frozenset(pair.partition for pair in assigned if pair.topic == topic)


def lag(app: Any, topic: str) -> dict[int, int] | None:
    """By assigned partition the events that are on the topic and not acknowledged yet; None while nobody knows."""
    if app._consumer is None or not app._assignment:
        return None
    consumer, found = app.consumer, {}
    for pair in (pair for pair in app._assignment if pair.topic == topic):
        end = consumer._thread.highwater(pair)
        if end is None:
            return None
        found[pair.partition] = max(0, end - max(consumer._committed_offset.get(pair) or 0, _acked(consumer, pair)))
    return found


def reaches_coordinator(app: Any) -> bool:
    """Whether the consumer knows its group's coordinator, which it forgets when the broker does not answer."""
    thread = getattr(app._consumer, "_thread", None)
    consumer = getattr(thread, "_consumer", None)
    return consumer is not None and consumer._coordinator.coordinator_id is not None


def leaderless(app: Any, topic: str) -> list[int]:
    """The topic's assigned partitions for which the consumer knows no leader: nobody gives their events."""
    thread = getattr(app._consumer, "_thread", None)
    consumer = getattr(thread, "_consumer", None)
    if consumer is None:
        return []
    leader = consumer._client.cluster.leader_for_partition  # -1: there is none; None: the topic is not there
    mine = [pair for pair in app._assignment or () if pair.topic == topic]
    return sorted(pair.partition for pair in mine if leader(pair) in (None, -1))


def crash_reason(app: Any) -> str:
    """Why it crashed, in words."""
    reason = getattr(app, "_crash_reason", None)
    return f"{type(reason).__name__}: {reason}" if reason is not None else "no reason given"


def _acked(consumer: Any, pair: Any) -> int:
    """The offset behind the last acknowledged event that waits for its commit."""
    acked = consumer._acked.get(pair)
    return max(acked) + 1 if acked else 0
