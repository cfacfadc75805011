"""Events onto the topic, for requests: durable before the answer, or refused within a bounded time."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from matih_api.problems import FieldError, Problem, unavailable
from matih_kafka.errors import BrokerUnavailable, KafkaError, RecordRejected
from matih_kafka.framing import SINGLE_OBJECT
from matih_kafka.tasks import end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_kafka.framing import EventFramer
    from matih_kafka.publisher import Publisher, Record
    from matih_schemas.events import TrackingEvent

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.5
"""Between two tries to connect."""
RETRY_AFTER: Final = 2


class EventPublisher:
    """Publishes for many requests at once, over one connection that it keeps up by itself.

    Records of one key stand on the topic in the order of the calls. A call that fails may have been published all the
    same, where the broker's answer was lost: whoever repeats it has to send the same ids.
    """

    def __init__(self, publisher: Publisher, patience: float = 2.0, framer: EventFramer = SINGLE_OBJECT) -> None:
        """Connects with `start`.

        Args:
            publisher: what carries the records.
            patience: seconds that a request waits for Kafka; after that it is refused, and so is every other until
                there is a new connection.
            framer: makes records of events.
        """
        self._framer = framer
        self._publisher = publisher
        self._patience = patience
        self._problem: str | None = "not connected yet"
        self._connecting: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing can be published now; None if it can."""
        return self._problem

    async def start(self) -> None:
        """Begins to connect; waits for the first try, for as long as a request would."""
        self._connect_anew()
        if self._connecting is not None:
            await asyncio.wait([self._connecting], timeout=self._patience)

    async def close(self) -> None:
        """Ends the connection; what was not acknowledged by now fails."""
        self._problem = "closed"
        if self._connecting is not None:
            await end([self._connecting])
        await self._publisher.close()

    def record(self, event: TrackingEvent, more: Sequence[tuple[str, bytes]] = ()) -> Record:
        """The record of an event, with further headers.

        Raises:
            Problem: 503, none can be made yet, for want of the schema registry.
        """
        if not self._framer.is_ready:
            self.refuse_while_broken()
        return self._framer.record(event, more)

    async def publish(self, records: Sequence[Record]) -> None:
        """Returns once all in-sync replicas have all of the records.

        Raises:
            Problem: 503, Kafka can't be reached, and nothing was sent; 503, it did not acknowledge in time, and may
                have any of the records; 413, a record is too large for the topic, which may have those before it.
        """
        self.refuse_while_broken()
        futures: list[asyncio.Future[None]] = []
        try:
            for record in records:
                futures.append(self._publisher.send(record))  # noqa: PERF401 - how many were sent has to be known
        except BrokerUnavailable as error:
            raise self._broken(str(error), sent=bool(futures)) from error
        _, late = await asyncio.wait(futures, timeout=self._patience) if futures else (set(), set())
        if late:
            raise self._broken(f"no acknowledgement within {self._patience:g} s", sent=True)
        failures = {index: found for index, future in enumerate(futures) if (found := future.exception()) is not None}
        if failures:
            raise self._answer(failures)

    def _answer(self, failures: dict[int, BaseException]) -> Problem:
        """The answer where some records failed: if it was one record's fault, the others failed because of it."""
        for index, error in failures.items():
            if isinstance(error, RecordRejected):
                self._connect_anew()  # the publisher goes no further after a failure
                where = FieldError(("body", "events", index), str(error))
                return Problem(413, "event-too-large", str(error), errors=[where])
        return self._broken(str(next(iter(failures.values()))), sent=True)

    def refuse_while_broken(self) -> None:
        """Returns if there is a connection on which all that was sent is answered so far.

        Raises:
            Problem: 503, there is none.
        """
        if self._problem is not None:
            raise _refusal(self._problem, sent=False)
        since = self._publisher.waiting_since
        if since is not None and time.monotonic() - since > self._patience:
            raise self._broken(f"no acknowledgement within {self._patience:g} s", sent=False)

    def _broken(self, why: str, *, sent: bool) -> Problem:
        if self._problem is None:
            logger.warning("Kafka takes no events: %s", why)
            self._problem = why
        self._connect_anew()
        return _refusal(why, sent=sent)

    def _connect_anew(self) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        while True:
            try:
                await self._framer.connect()
                await self._publisher.connect()
                break
            except KafkaError as error:
                self._problem = str(error)
            await asyncio.sleep(PAUSE_SECONDS)
        if self._problem is not None:
            logger.info("Kafka takes events")
        self._problem = None


def _refusal(why: str, *, sent: bool) -> Problem:
    """503; `sent`: records of this request were on their way, so nobody knows here whether Kafka has them."""
    if sent:
        detail = f"it may have been taken: {why}; repeat it as it was, with the same Idempotency-Key"
    else:
        detail = f"nothing was taken: {why}; try again"
    return unavailable("event-log-unavailable", detail, RETRY_AFTER)
