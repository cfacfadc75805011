"""How the worker publishes dead letters."""

from __future__ import annotations

import asyncio
import logging
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from matih_kafka.errors import BrokerUnavailable, RecordRejected
from matih_kafka.publisher import Record
from matih_schemas.clock import now_ms
from matih_workers.backoff import Backoff
from matih_workers.dead_letters import headers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matih_kafka.publisher import Publisher
    from matih_schemas.errors import InvalidEvent, Reason
    from matih_workers.records import Received

logger = logging.getLogger(__name__)

CONNECTOR: Final = "matih-ingest"
DETAIL_MAX: Final = 4000
LOGGED_MAX: Final = 5
"""Lines in the log for one batch of dead letters: a flood of garbage must not become one of lines."""


@dataclass(frozen=True)
class DeadLetter:
    """One record, and why it can't be applied.

    Attributes:
        attempts: how often it was tried.
        first_failed_at: when it failed for the first time, in ms since the epoch.
    """

    record: Received
    why: InvalidEvent
    attempts: int = 1
    first_failed_at: int = 0

    @property
    def reason(self) -> Reason:
        """One of `matih_schemas.errors.REASONS`."""
        return self.why.reason


class LettersWatcher(Protocol):
    """Who is told whether dead letters can be published. Called in the event loop; must not block."""

    def letters_wait(self, why: str) -> None:
        """They could not be published and are tried again, with everything behind them kept."""

    def letters_taken(self) -> None:
        """They are safe."""


class DeadLetters:
    """Publishes dead letters, and comes back when they are safe, however long that takes."""

    def __init__(
        self, publisher: Publisher, watcher: LettersWatcher, backoff: Callable[[], Backoff] = lambda: Backoff(0.2, 5.0)
    ) -> None:
        self._publisher = publisher
        self._watcher = watcher
        self._backoff = backoff
        self._connected = False

    async def publish(self, letters: Sequence[DeadLetter]) -> None:
        """Returns once all in-sync replicas have all of them; some may stand in the topic twice."""
        waiting = [as_record(letter) for letter in letters]
        backoff = self._backoff()
        while waiting:
            waiting = await self._try(waiting, backoff)
        self._watcher.letters_taken()
        for letter in letters[:LOGGED_MAX]:
            logger.warning("dead letter %s: %s", letter.record, letter.why)
        if len(letters) > LOGGED_MAX:
            logger.warning("and %d more dead letters", len(letters) - LOGGED_MAX)

    async def close(self) -> None:
        """Ends the connection."""
        await self._publisher.close()

    async def _try(self, records: list[Record], backoff: Backoff) -> list[Record]:
        """Sends them all; returns what is to be sent again, after a wait."""
        try:
            return await self._send(records)
        except BrokerUnavailable as error:
            self._connected = False
            self._watcher.letters_wait(str(error))
            await asyncio.sleep(backoff.next())
            return records

    async def _send(self, records: list[Record]) -> list[Record]:
        """Sends them all; if one is too large for the topic, returns all, that one made small.

        Raises:
            BrokerUnavailable: any of them may be missing.
        """
        if not self._connected:
            await self._publisher.connect()
            self._connected = True
        sent = [self._publisher.send(record) for record in records]
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        rejected = [isinstance(outcome, RecordRejected) for outcome in outcomes]
        if any(rejected):
            self._connected = False
            pairs = zip(records, rejected, strict=True)
            return [_without_value(record) if too_large else record for record, too_large in pairs]
        failed = next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), None)
        if failed is not None:
            raise failed
        return []


def as_record(letter: DeadLetter) -> Record:
    """The record of the dead-letter topic: key, value, headers and time kept, and what happened added."""
    record = letter.record
    received_at = headers.number(record.headers, headers.RECEIVED_AT) or record.timestamp_ms
    kept = headers.replaced(record.headers, _headers(letter))
    return Record(record.key or b"", record.value or b"", kept, received_at)


def _headers(letter: DeadLetter) -> dict[str, str]:
    """Kafka Connect's names, which tools for dead letters know, and ours. A redriven record goes on with its counts."""
    record, why = letter.record, letter.why
    cause = why.__cause__ or why
    attempts = letter.attempts + (headers.number(record.headers, headers.ATTEMPTS) or 0)
    failed_at = headers.number(record.headers, headers.FIRST_FAILED_AT) or letter.first_failed_at
    found = {
        headers.TOPIC: record.topic,
        headers.PARTITION: str(record.partition),
        headers.OFFSET: str(record.offset),
        f"{headers.CONNECT}connector.name": CONNECTOR,
        f"{headers.CONNECT}task.id": str(record.partition),
        f"{headers.CONNECT}stage": "TASK_PUT",
        f"{headers.CONNECT}class.name": f"{CONNECTOR}.{why.reason}",
        f"{headers.CONNECT}exception.class.name": f"{type(cause).__module__}.{type(cause).__qualname__}",
        headers.MESSAGE: why.detail[:DETAIL_MAX],
        f"{headers.CONNECT}exception.stacktrace": "".join(traceback.format_exception(cause))[-DETAIL_MAX:],
        headers.REASON: why.reason,
        headers.ATTEMPTS: str(attempts),
        headers.FIRST_FAILED_AT: str(failed_at or now_ms()),
    }
    null = [name for name, part in (("key", record.key), ("value", record.value)) if part is None]
    return {**found, headers.NULL: ",".join(null)} if null else found


def _without_value(record: Record) -> Record:
    """The same dead letter, small: its headers say where the whole record stands in the events topic."""
    size = {headers.VALUE_LEFT_OUT: str(len(record.value))}
    return replace(record, value=b"", headers=headers.replaced(record.headers, size))
