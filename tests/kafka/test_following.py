"""A topic that is followed: from before it is there, over its being made anew."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient

from matih_kafka.admin import create_topics
from matih_kafka.following import TopicFollowing
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.publisher import Record
from matih_kafka.settings import KafkaSettings
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiokafka import TopicPartition


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.anew = 0

    def take(self, partition: int, records: list[Any]) -> None:
        self.values += [record.value for record in records]

    def committed(self, partition: int, end: int) -> None:
        pass

    def made_anew(self) -> None:
        self.anew += 1
        self.values.clear()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(600):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(what)


def test_it_is_followed_once_it_is_there_and_again_when_it_is_made_anew(kafka: str) -> None:
    asyncio.run(follow_over_all(kafka))


async def follow_over_all(kafka: str) -> None:
    settings, told = KafkaSettings(bootstrap_servers=kafka), Told()
    topics = catalogue(f"test.{secrets.token_hex(6)}.events.v1")
    following = TopicFollowing(settings, topics[0], f"group-{topics[0].name}", told)
    task = asyncio.create_task(following.run())
    assert not await following.caught_up(1.0)
    await create_topics(settings, topics)
    await until(lambda: following.caught_up(2.0), "it is followed")
    await publish(settings, topics[0], [b"a", b"b", b"c"])
    assert await following.caught_up(10.0)
    assert sorted(told.values) == [b"a", b"b", b"c"]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_topics([topics[0].name])
    await admin.close()
    await until(lambda: made(settings, topics), "it can be made anew")
    await publish(settings, topics[0], [b"d"])

    async def read_anew() -> bool:
        return await following.caught_up(2.0) and told.values == [b"d"]

    await until(read_anew, "the new one is followed")
    assert told.anew == 1
    task.cancel()
    await asyncio.wait([task])


async def made(settings: KafkaSettings, topics: Any) -> bool:
    await create_topics(settings, topics)
    return True


async def publish(settings: KafkaSettings, topic: Any, values: list[bytes]) -> None:
    publisher = KafkaPublisher(settings, topic)
    await publisher.connect()
    await asyncio.gather(*[publisher.send(Record(b"acme/1", value, ())) for value in values])
    await publisher.close()


class Busy:
    """Answers with the topic's ends, and more is read before the answer comes."""

    def __init__(self, following: TopicFollowing, end: int, read: int) -> None:
        self._following, self._end, self._read = following, end, read

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        self._following._positions = dict.fromkeys(places, self._read)
        return dict.fromkeys(places, self._end)


def test_what_is_read_behind_the_answer_makes_no_topic_anew() -> None:
    """An API under load took its topic for a new one, and refused writes until it had read it again."""

    async def asked(end: int, read_before: int) -> int:
        told = Told()
        following = TopicFollowing(KafkaSettings(), catalogue("t.events.v1")[0], "group", told)
        following.problem = None
        following._asker = Busy(following, end, read=7)
        following._positions = dict.fromkeys(following._places, read_before)
        await following.caught_up(1.0)
        return told.anew

    assert asyncio.run(asked(end=5, read_before=4)) == 0
    assert asyncio.run(asked(end=5, read_before=6)) == 1


def test_what_was_asked_before_it_began_anew_makes_no_topic_anew_once_more() -> None:
    """The consumer had come upon the new topic while its ends were asked for: it was told twice."""
    told = Told()
    following = TopicFollowing(KafkaSettings(), catalogue("t.events.v1")[0], "group", told)

    class Remade:
        async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
            following._begin_anew()
            return dict.fromkeys(places, 1)

    following.problem = None
    following._asker = Remade()
    following._positions = dict.fromkeys(following._places, 3)
    assert not asyncio.run(following.caught_up(1.0))
    assert told.anew == 1
