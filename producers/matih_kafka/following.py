"""Following a topic as it grows, outside any group: for whoever keeps what stands on it and is not applied yet."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError as AioKafkaError

from matih_kafka.admin import unreachable
from matih_kafka.logs import only_errors_of_ours
from matih_kafka.tasks import end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_kafka.settings import KafkaSettings
    from matih_schemas.topics import Topic

logger = logging.getLogger(__name__)

COMMITTED_SECONDS: Final = 0.5
"""How often it is asked how far the group is."""
PAUSE_SECONDS: Final = 0.5
REFUSE_SECONDS: Final = 1.0
"""After a question that nobody answered, others are not asked for so long."""
_POLL_MS: Final = 1_000
_REQUEST_MS: Final = 10_000
_OUTAGES = (AioKafkaError, asyncio.TimeoutError, OSError)


class Follower(Protocol):
    """What is told."""

    def take(self, partition: int, records: list[Any]) -> None:
        """These records come next, in their order; a record may come again after a broken connection."""

    def committed(self, partition: int, end: int) -> None:
        """The group has done everything before this offset."""

    def made_anew(self) -> None:
        """The topic is another one of the same name, or has lost its end: it is read again from its beginning."""


class TopicFollowing:
    """Reads a topic from where a group is, and a little before, and then whatever comes.

    `caught_up` answers whether everything is taken that stood on the topic when it was called: many questions at once
    cost one request to the brokers.
    """

    def __init__(
        self, settings: KafkaSettings, topic: Topic, group: str, follower: Follower, back: float = 0.0
    ) -> None:
        """Does nothing yet; see `run`.

        Args:
            settings: of the connection.
            topic: what is read.
            group: the consumer group whose committed offsets are told.
            follower: what is told.
            back: seconds of the topic before now that are read at the start also where the group is further.
        """
        self._settings = settings
        self._topic = topic
        self._group = group
        self._follower = follower
        self._back = back
        self._places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        self._consumer: Any = None
        self._asker: Any = None  # a fetch may be answered late on purpose, and what is asked behind it waits
        self._positions: dict[TopicPartition, int] = {}
        self._moved = asyncio.Event()
        self._connected = asyncio.Event()
        self._anew = asyncio.Event()
        self._asking: asyncio.Task[Mapping[TopicPartition, int]] | None = None
        self._next: asyncio.Task[Mapping[TopicPartition, int]] | None = None
        self._refuse_until = 0.0
        self.problem: str | None = "not connected yet"
        only_errors_of_ours()

    async def run(self) -> None:
        """Follows for ever; connects anew after an outage. Ends when it is cancelled."""
        while True:
            try:
                await self._follow()
            except _OUTAGES as error:
                self._note(unreachable(self._settings, error))
            finally:
                await self._disconnect()
            await asyncio.sleep(PAUSE_SECONDS)

    async def connected(self, timeout: float) -> bool:
        """Waits until it follows; False if it does not within `timeout` seconds."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._connected.wait(), timeout)
        return self.problem is None

    async def caught_up(self, timeout: float) -> bool:
        """Waits until all is taken that stands on the topic now; False if that is not so within `timeout` seconds."""
        if time.monotonic() < self._refuse_until:
            return False
        try:
            await asyncio.wait_for(self._catch_up(), timeout)
        except _OUTAGES:
            self._refuse_until = time.monotonic() + REFUSE_SECONDS
            return False
        return True

    async def _catch_up(self) -> None:
        if self._next is None:
            # The question that is under way may have been answered before this call: the next one is for it.
            self._next = asyncio.create_task(self._ask_after(self._asking))
            self._next.add_done_callback(_seen)
        ends = await asyncio.shield(self._next)
        while any(self._positions.get(place, 0) < end for place, end in ends.items()):
            moved = self._moved
            await moved.wait()

    async def _ask_after(self, before: asyncio.Task[Any] | None) -> Mapping[TopicPartition, int]:
        if before is not None:
            await asyncio.wait([before])
        self._asking, self._next = self._next, None
        if self._asker is None or self.problem is not None:
            raise asyncio.TimeoutError
        read = dict(self._positions)  # as it was before the question: what comes meanwhile may be behind the answer
        asker = self._asker
        ends: Mapping[TopicPartition, int] = await asker.end_offsets(self._places)
        if self._anew.is_set() or asker is not self._asker:
            raise asyncio.TimeoutError  # it has begun anew meanwhile: what was read before it says nothing now
        if any(end < read.get(place, 0) for place, end in ends.items()):
            self._begin_anew()
            raise asyncio.TimeoutError
        return ends

    def _begin_anew(self) -> None:
        self._note(f"topic {self._topic.name} ends before where it was read to: it was made anew, and is read again")
        self._positions.clear()
        self._follower.made_anew()
        self._anew.set()

    async def _follow(self) -> None:
        self._asker, self._consumer = self._client(), self._client()
        await self._asker.start()
        await self._consumer.start()
        self._anew.clear()
        starts = {place: await self._start_of(place) for place in self._places}
        self._consumer.assign(self._places)
        for place, start in starts.items():
            self._consumer.seek(place, start)
            self._positions[place] = start
        watching = asyncio.create_task(self._watch_group())
        try:
            self._note(None)
            while not watching.done() and not self._anew.is_set():
                await self._take(await self._consumer.getmany(timeout_ms=_POLL_MS))
            if watching.done():
                await watching
        finally:
            await end([watching])

    def _client(self) -> Any:
        return AIOKafkaConsumer(
            group_id=self._group,  # to be told its offsets; nobody joins a group without `subscribe`
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=_REQUEST_MS,
            fetch_max_wait_ms=_POLL_MS,
            **self._settings.client_options(),
        )

    async def _start_of(self, place: TopicPartition) -> int:
        """At the group's offset, or before it by time; after an outage where it was."""
        done = await self._asker.committed(place)
        if done is not None:
            self._follower.committed(place.partition, done)
        if place in self._positions:
            return self._positions[place]
        first = (await self._asker.beginning_offsets([place]))[place]
        return max(int(first), min(done or 0, await self._offset_before(place)))

    async def _offset_before(self, place: TopicPartition) -> int:
        since = int((time.time() - self._back) * 1000)
        found = (await self._asker.offsets_for_times({place: since}))[place]
        if found is not None:
            return int(found.offset)
        return int((await self._asker.end_offsets([place]))[place])

    async def _take(self, batches: Mapping[TopicPartition, list[Any]]) -> None:
        if any(records[0].offset < self._positions.get(place, 0) for place, records in batches.items() if records):
            self._begin_anew()  # the client has gone to the new topic's beginning by itself
        if self._anew.is_set():
            return
        for place, records in batches.items():
            self._follower.take(place.partition, records)
            self._positions[place] = await self._consumer.position(place)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _watch_group(self) -> None:
        while True:
            await asyncio.sleep(COMMITTED_SECONDS)
            for place in self._places:
                done = await self._asker.committed(place)
                if done is not None:
                    self._follower.committed(place.partition, done)

    async def _disconnect(self) -> None:
        clients = [client for client in (self._consumer, self._asker) if client is not None]
        self._consumer = self._asker = None
        for client in clients:
            with suppress(*_OUTAGES):
                await asyncio.wait_for(client.stop(), PAUSE_SECONDS)

    def _note(self, problem: str | None) -> None:
        if problem is not None and self.problem is None:
            logger.warning("%s is not followed: %s", self._topic.name, problem)
        elif problem is None and self.problem is not None:
            logger.info("%s is followed", self._topic.name)
        self.problem = problem
        self._connected.set() if problem is None else self._connected.clear()


def _seen(task: asyncio.Task[Any]) -> None:
    """Marks its error as seen: whoever asked may have gone."""
    if not task.cancelled():
        task.exception()
