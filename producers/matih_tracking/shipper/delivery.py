"""Events to Kafka, and what came of them: bounded in memory, and nothing goes on after a failure."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from matih_kafka.errors import BrokerUnavailable, KafkaError
from matih_schemas.errors import InvalidEvent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from matih_kafka.framing import EventFramer
    from matih_kafka.publisher import Publisher, Record
    from matih_schemas.events import TrackingEvent
    from matih_tracking.shipper.coalesce import Outgoing
    from matih_tracking.shipper.prefix import Piece, Prefix

MAX_IN_FLIGHT_BYTES: Final = 8 << 20
_NOT_YET: Final = BrokerUnavailable("not connected yet")
_log = logging.getLogger(__name__)


class Delivery:
    """Hands events to the publisher and marks their pieces when Kafka has them.

    Attributes:
        failure: why nothing goes on; None while all is well.
        events: how many are on Kafka since the start.
        refused: events that the schema has no place for; they count as delivered.
        in_flight_bytes: handed over, not acknowledged.
    """

    def __init__(
        self,
        publisher: Publisher,
        framer: EventFramer,
        prefix_of: Callable[[str], Prefix | None],
        acknowledged: Callable[[], None],
    ) -> None:
        """Prepares; nothing is sent before `connect`.

        Args:
            publisher: what carries the records.
            framer: makes them of events.
            prefix_of: the acknowledged prefix of a producer's journal, None if nobody wants to know any more.
            acknowledged: called when something was acknowledged, or has failed.
        """
        self.failure: Exception | None = _NOT_YET
        self.events = 0
        self.refused = 0
        self.in_flight_bytes = 0
        self._publisher = publisher
        self._framer = framer
        self._prefix_of = prefix_of
        self._acknowledged = acknowledged
        self._round = 0

    @property
    def has_failed(self) -> bool:
        """Whether something failed that had begun: it is time to wait a little before the next try."""
        return self.failure not in (None, _NOT_YET)

    @property
    def has_room(self) -> bool:
        """Whether more may be read: what is on its way is bounded."""
        return self.in_flight_bytes < MAX_IN_FLIGHT_BYTES

    async def connect(self) -> None:
        """Starts (over): everything that was not acknowledged has to be handed over again. Sets `failure`."""
        self._round += 1
        self.in_flight_bytes = 0
        try:
            await self._framer.connect()
            await self._publisher.connect()
        except KafkaError as error:
            self.failure = error
        else:
            self.failure = None

    def hand_over(self, outgoing: Outgoing) -> None:
        """Publishes an event, unless something has failed before it."""
        if self.failure is not None:
            return
        prefixes = ((self._prefix_of(producer), upto) for producer, upto in outgoing.upto.items())
        pieces = [prefix.hand_over(upto) for prefix, upto in prefixes if prefix is not None]
        record = self._encode(outgoing.event) if outgoing.event is not None else None
        if record is None:
            self._mark(pieces)
            return
        try:
            future = self._publisher.send(record)
        except BrokerUnavailable as error:
            self.failure = error
            return
        self.in_flight_bytes += len(record)
        future.add_done_callback(partial(self._end, self._round, pieces, len(record)))

    def _encode(self, event: TrackingEvent) -> Record | None:
        try:
            return self._framer.record(event)
        except InvalidEvent as error:
            self.refused += 1
            _log.error("an event is skipped: %s", error)
            return None

    def _end(self, sent_in: int, pieces: list[Piece], size: int, future: asyncio.Future[None]) -> None:
        if sent_in != self._round or future.cancelled():
            return
        self.in_flight_bytes -= size
        error = future.exception()
        if error is None:
            self.events += 1
            self._mark(pieces)
        elif self.failure is None:
            self.failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
            self._acknowledged()

    def _mark(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            piece.done = True
        self._acknowledged()
