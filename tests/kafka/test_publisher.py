"""What only the publisher on a real broker does."""

import asyncio
import uuid
from collections import defaultdict
from contextlib import closing
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from matih_kafka.admin import create_topics
from matih_kafka.errors import BrokerUnavailable, WrongTopic
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.publisher import Record
from matih_kafka.settings import KafkaSettings
from matih_schemas.topics import catalogue


@pytest.fixture
def settings(kafka):
    return KafkaSettings(bootstrap_servers=kafka)


@pytest.fixture
def topic():
    return catalogue(f"w-{uuid.uuid4().hex[:8]}.events.v1")[0]


def connect(publisher):
    async def try_it():
        try:
            await publisher.connect()
        finally:
            await publisher.close()

    asyncio.run(asyncio.wait_for(try_it(), 30))


def test_a_missing_topic_says_what_makes_it_and_is_not_made(settings, topic):
    for _ in range(2):
        with pytest.raises(WrongTopic, match=rf"{topic.name} is not on .*matih topics create"):
            connect(KafkaPublisher(settings, topic))


def test_another_number_of_partitions_is_refused(settings, topic):
    asyncio.run(create_topics(settings, [replace(topic, partitions=5)]))
    with pytest.raises(WrongTopic, match="has 5 partitions, the contract says 12"):
        connect(KafkaPublisher(settings, topic))


def test_no_broker_names_it_and_the_cause(topic):
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:9\b.*Connect call failed"):
        connect(KafkaPublisher(KafkaSettings(bootstrap_servers="127.0.0.1:9"), topic))


def test_an_outage_longer_than_all_timeouts_loses_nothing_and_keeps_the_order(settings, topic, local_system):
    asyncio.run(create_topics(settings, [topic]))
    records = [Record(b"t/%d" % (n % 3), b"%04d" % n) for n in range(600)]

    publisher = KafkaPublisher(settings, topic, request_timeout=1.0, stalled=2.0)

    def send(some):
        return asyncio.gather(*(publisher.send(record) for record in some), return_exceptions=True)

    async def deliver(todo):
        """As every caller has to: from the first that is not acknowledged, until all are."""
        while todo:
            try:
                await publisher.connect()
                ends = await send(todo)
            except BrokerUnavailable:
                continue
            todo = todo[next((n for n, end in enumerate(ends) if end is not None), len(todo)) :]

    async def meanwhile():
        assert {type(end) for end in await send(records[200:])} == {BrokerUnavailable}
        with pytest.raises(BrokerUnavailable):
            await publisher.connect()

    # One loop, as the publisher belongs to one; the broker is started between its turns.
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(asyncio.wait_for(deliver(records[:200]), 60))
        local_system.kill("kafka")
        try:
            loop.run_until_complete(meanwhile())
        finally:
            local_system.start("kafka")
        loop.run_until_complete(asyncio.wait_for(deliver(records[200:]), 60))
        loop.run_until_complete(publisher.close())
    found = asyncio.run(values_by_key(settings, topic))
    for key in {record.key for record in records}:
        assert list(dict.fromkeys(found[key])) == [record.value for record in records if record.key == key]


async def values_by_key(settings, topic):
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        total, found, count = sum((await consumer.end_offsets(partitions)).values()), defaultdict(list), 0
        while count < total:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                count += len(records)
                for record in records:
                    found[record.key].append(record.value)
        return found
    finally:
        await consumer.stop()


def test_a_broker_that_never_answers_is_given_up(topic):
    """A port that takes connections and says nothing."""

    async def try_it():
        server = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}")
        try:
            await KafkaPublisher(settings, topic, request_timeout=0.3).connect()
        finally:
            server.close()

    with pytest.raises(BrokerUnavailable):
        asyncio.run(asyncio.wait_for(try_it(), 10))
