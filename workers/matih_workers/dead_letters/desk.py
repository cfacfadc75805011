"""What is done with the letters in the topic: read, redrive, purge. I/O only; what is decided stands in register.py."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.operator import operator
from matih_kafka.reading import TopicReader, delete_before, topic_reader
from matih_schemas.topics import Topic, catalogue
from matih_workers.dead_letters.delivery import deliver
from matih_workers.dead_letters.letter import Letter, LetterId, Place, redriven_record
from matih_workers.dead_letters.register import Outcome, Register, settlement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from matih_kafka.publisher import Publisher, Record
    from matih_kafka.settings import KafkaSettings

TOGETHER: Final = 200
"""Letters that are on their way to Kafka at once."""

Keyed = tuple[Letter, bytes]
"""A letter and its record's key."""


@dataclass
class Outcomes:
    """What became of the letters that were to be redriven.

    Attributes:
        redriven: how many stand in the events topic again.
        gone: those whose record is in neither topic any more.
        refused: those that the events topic does not take, and why.
    """

    redriven: int = 0
    gone: list[Letter] = field(default_factory=list)
    refused: list[tuple[Letter, str]] = field(default_factory=list)


class Desk:
    """The dead letters of one deployment."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Connects nothing yet.

        Raises:
            InvalidName: the events topic's name can't be one.
        """
        self._settings = settings
        self._events, self._letters = catalogue(settings.events_topic, settings.events_partitions)

    async def register(self) -> Register:
        """Reads the whole topic.

        Raises:
            BrokerUnavailable: Kafka does not answer, or the topic is missing.
        """
        found = Register()
        async with topic_reader(self._settings) as reader:
            async for record in reader.scan(self._letters.name):
                found.add(record)
        return found

    async def record(self, wanted: LetterId) -> Any | None:
        """A letter's record, its value fetched from the events topic if it was left out; None if it is not there.

        Raises:
            BrokerUnavailable: Kafka does not answer, or the topic is missing.
        """
        async with topic_reader(self._settings) as reader:
            ends = await reader.ends(self._letters.name)
            if wanted.offset >= ends.get(wanted.partition, 0):
                return None
            return await reader.record_at(self._letters.name, *wanted)

    async def redrive(self, letters: Sequence[Letter], sent: Callable[[int], None] = lambda _: None) -> Outcomes:
        """Publishes the letters' records to the events topic again, each run's in order, and notes it.

        Killed in between, some are not noted yet, and stay open: redriven twice they change nothing.

        Args:
            letters: in the order of `Register.open`.
            sent: told how many more are done.

        Raises:
            BrokerUnavailable: Kafka does not answer; what was done until then is noted.
        """
        outcomes = Outcomes()
        async with (
            topic_reader(self._settings) as reader,
            self._publisher(self._events) as events,
            self._publisher(self._letters) as notes,
        ):
            for part in _parts(letters):
                done = await self._redrive_part(reader, events, part, outcomes)
                await self._settle(notes, done, "redriven")
                outcomes.redriven += len(done)
                sent(len(part))
        return outcomes

    async def purge(self, letters: Sequence[Letter]) -> None:
        """Notes that nobody wants the letters any more, and lets Kafka remove what no open letter stands before.

        Raises:
            BrokerUnavailable: Kafka does not answer; what was done until then is noted.
        """
        async with topic_reader(self._settings) as reader, self._publisher(self._letters) as notes:
            for part in _parts(letters):
                keyed = [(one, await reader.record_at(self._letters.name, *one.id)) for one in part]
                await self._settle(notes, [(one, record.key or b"") for one, record in keyed if record], "purged")
        await self._remove_settled()

    async def _remove_settled(self) -> None:
        """Deletes each partition's records up to the first open letter: notes that nobody needs go with them."""
        async with topic_reader(self._settings) as reader:
            ends = await reader.ends(self._letters.name)
        register = await self.register()
        await delete_before(self._settings, self._letters.name, register.free_until(ends))

    async def _redrive_part(
        self, reader: TopicReader, events: Publisher, part: Sequence[Letter], outcomes: Outcomes
    ) -> list[Keyed]:
        """Sends a part; returns the letters that are in the events topic again."""
        found = [(one, await self._whole(reader, one)) for one in part]
        outcomes.gone += [one for one, record in found if record is None]
        there = [(one, record) for one, record in found if record is not None]
        refused = await deliver(events, [record for _, record in there])
        outcomes.refused += [(there[index][0], why) for index, why in refused.items()]
        return [(one, record.key) for index, (one, record) in enumerate(there) if index not in refused]

    async def _whole(self, reader: TopicReader, one: Letter) -> Record | None:
        """The record to send; None if the letter, or the value that it left out, is not there any more."""
        record = await reader.record_at(self._letters.name, *one.id)
        if record is None:
            return None
        value = record.value or b""
        if one.value_left_out:
            original = await self._original(reader, one.place, record.key)
            if original is None or len(original) != one.size:
                return None
            value = original
        return redriven_record(one, record.key or b"", value, tuple(record.headers))

    async def _original(self, reader: TopicReader, place: Place, key: bytes | None) -> bytes | None:
        record = await reader.record_at(*place)
        return record.value if record is not None and (record.key or b"") == (key or b"") else None

    async def _settle(self, notes: Publisher, done: Iterable[Keyed], outcome: Outcome) -> None:
        who = operator()
        by = f"{who.user}@{who.host}"
        await deliver(notes, [settlement(one, key, outcome, by) for one, key in done])

    @asynccontextmanager
    async def _publisher(self, topic: Topic) -> AsyncIterator[Publisher]:
        publisher = KafkaPublisher(self._settings, topic, client_id="matih-dlq")
        try:
            await publisher.connect()
            yield publisher
        finally:
            await publisher.close()


def _parts(letters: Sequence[Letter]) -> Iterable[Sequence[Letter]]:
    return (letters[start : start + TOGETHER] for start in range(0, len(letters), TOGETHER))
