"""Writes: an event on Kafka, once for a request however often it is repeated, and then a look whether MLflow has it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

from matih_api.guard.traces import publishing, trace_headers
from matih_api.pending.pendings import ORIGIN
from matih_api.problems import invalid, unavailable
from matih_schemas import tags

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from matih_api.events import Author
    from matih_api.guard.metrics import Metrics
    from matih_api.guard.quotas import Quotas
    from matih_api.objects import Objects
    from matih_api.publishing import EventPublisher
    from matih_kafka.publisher import Record
    from matih_schemas.events import TrackingEvent

_ORIGIN: Final = (ORIGIN, b"1")


class Taken(NamedTuple):
    """What became of a request's events.

    Attributes:
        mark: the tag that says how far MLflow has this process's entries, and the number it has to have.
    """

    mark: str
    last: int


class Writes:
    """Publishes the events of requests."""

    def __init__(
        self, publisher: EventPublisher, objects: Objects, quotas: Quotas, metrics: Metrics, topic: str
    ) -> None:
        self._publisher = publisher
        self._objects = objects
        self._quotas = quotas
        self._metrics = metrics
        self._topic = topic
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def publish(self, author: Author, events: Sequence[TrackingEvent]) -> None:
        """Returns once Kafka has all of them; nothing was acknowledged before.

        Raises:
            Problem: 503 or 413, see `EventPublisher.publish`; 503, too much is acknowledged and not in MLflow; 429.
        """
        if self._objects.pendings.overlay.full:
            raise unavailable(
                "backlog-too-long", "too much is acknowledged that no worker has applied: is a worker running?", 30
            )
        with publishing(self._topic, len(events)), self._metrics.publishing():
            records = self._records(author, events)
            size = sum(map(len, records))
            self._quotas.events(author.tenant_id, len(records), size)
            await self._publisher.publish(records)
        self._metrics.published(author.tenant_id, len(records), size)

    def _records(self, author: Author, events: Sequence[TrackingEvent]) -> list[Record]:
        """The request's key stands on its last record: once that is there, all are."""
        last, more = len(events) - 1, (_ORIGIN, *trace_headers())
        return [
            self._publisher.record(event, (*more, author.key.header()) if author.key and index == last else more)
            for index, event in enumerate(events)
        ]

    @asynccontextmanager
    async def once(self, author: Author) -> AsyncIterator[bool]:
        """Gives whether the request has to be carried out: False, it was already.

        Repetitions wait for each other within this process; what another one has taken is seen on the topic.

        Raises:
            Problem: 422, another request had the same key; 503, Kafka can't be asked.
        """
        if author.key is None:
            yield True
            return
        async with self._locks.setdefault(author.key.place, asyncio.Lock()):
            # What a broken connection has sent may still arrive: only what is asked over the next one tells.
            self._publisher.refuse_while_broken()
            await self._objects.must_be_fresh()
            seen = self._objects.pendings.keys.request(author.key)
            if seen is not None and seen != author.key.request:
                raise invalid("this Idempotency-Key was used for another request: choose a new one for each request")
            yield seen is None


def taken(events: Sequence[TrackingEvent]) -> Taken:
    """By what to see that these are in MLflow: events of one run, the last with the highest number."""
    group = events[-1].payload.groups[-1]  # type: ignore[union-attr]
    return Taken(tags.applied(group.producer_id), group.last_sequence)
