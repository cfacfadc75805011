"""One contract, held to by the publishers in memory, on a real broker, and through a real API's event gateway."""

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from tests.api.gateway_app import Serving, app

from matih_api.admission import Admission
from matih_api.auth.principal import ANYBODY
from matih_api.gateway import TENANT_CHECKED
from matih_api.problems import unauthorized
from matih_kafka.admin import create_topics
from matih_kafka.errors import BrokerUnavailable, RecordRejected
from matih_kafka.gateway.publisher import GatewayPublisher
from matih_kafka.gateway.settings import GatewaySettings
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.memory import MemoryPublisher
from matih_kafka.publisher import Record
from matih_kafka.settings import KafkaSettings
from matih_schemas import codec
from matih_schemas.events import ExperimentDeleted, TrackingEvent
from matih_schemas.identity import partition_of
from matih_schemas.topics import catalogue

MAX_BYTES = 100_000


class InMemory:
    """Any bytes can be its records; `record` makes them, as those of the buses that take events only."""

    def __init__(self):
        self.publisher = MemoryPublisher(max_bytes=MAX_BYTES)

    def break_it(self):
        """The next records fail."""
        self.publisher.up = False
        asyncio.get_running_loop().call_later(0.01, self._fail)

    def _fail(self):
        self.publisher.fail(BrokerUnavailable("broken on purpose"))
        self.publisher.up = True

    def record(self, run, value):
        return Record(b"t/%d" % run, value, (("n", value[:4]),))

    async def close(self):
        await self.publisher.close()

    async def read(self):
        return [
            (index, record.key, record.value, record.headers)
            for index, partition in enumerate(self.publisher.partitions)
            for record in partition
        ]


class OnKafka:
    def __init__(self, settings, topic):
        self.settings, self.topic = settings, topic
        self.publisher = KafkaPublisher(settings, topic)

    def break_it(self):
        """The broker refuses the next batch of every partition: its numbers have a gap, the producer is poisoned."""
        numbers = self.publisher._producer._txn_manager
        for partition in range(self.topic.partitions):
            numbers.increment_sequence_number(TopicPartition(self.topic.name, partition), 1000)

    def record(self, run, value):
        return Record(b"t/%d" % run, value, (("n", value[:4]),))

    async def close(self):
        await self.publisher.close()

    async def read(self):
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap_servers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partitions = [TopicPartition(self.topic.name, number) for number in range(self.topic.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            found = []
            while len(found) < sum(ends.values()):
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    found += [(item.partition, item.key, item.value, tuple(item.headers)) for item in records]
            return found
        finally:
            await consumer.stop()


class ThroughGateway:
    """The real route on a real uvicorn, with a topic in memory behind it. Tokens are taken away and given again."""

    def __init__(self):
        self.topic = MemoryPublisher(max_bytes=2 * MAX_BYTES)
        self.refusals = 0
        admission = Admission(max_event_bytes=MAX_BYTES)
        self.serving = Serving(app(lambda: self.topic, self.authenticate, admission))
        self.serving.__enter__()
        self.publisher = GatewayPublisher(GatewaySettings(url=f"http://127.0.0.1:{self.serving.port}"))

    def authenticate(self, authorization):
        if self.refusals:
            self.refusals -= 1
            raise unauthorized("revoked on purpose")
        return ANYBODY

    def break_it(self):
        self.refusals = 1

    def record(self, run, value):
        event = TrackingEvent(value.hex(), "t", 1, ExperimentDeleted(str(run)))
        return Record(codec.event_key(event), codec.encode(event), tuple(codec.headers(event)))

    async def close(self):
        await self.publisher.close()
        await asyncio.to_thread(self.serving.__exit__)

    async def read(self):
        return [self.as_sent(*item) for item in await InMemory.read(SimpleNamespace(publisher=self.topic))]

    def as_sent(self, partition, key, value, headers):
        """Without what the gateway has added."""
        event = codec.decode(value)
        assert event.actor == "anonymous"
        assert headers[-1] == (TENANT_CHECKED, b"t")
        return (partition, key, codec.encode(replace(event, actor=None)), headers[:-1])


@pytest.fixture(params=["memory", "kafka", "gateway"])
def make(request):
    """Gives a function that makes the bus, to be called within the event loop."""
    if request.param == "memory":
        return InMemory
    if request.param == "gateway":
        return ThroughGateway
    settings = KafkaSettings(bootstrap_servers=request.getfixturevalue("kafka"))
    topic = replace(catalogue(f"p-{uuid.uuid4().hex[:8]}.events.v1")[0], config={"max.message.bytes": str(MAX_BYTES)})
    asyncio.run(create_topics(settings, [topic], replication=1))
    return lambda: OnKafka(settings, topic)


def records(bus, count, runs=5, size=40):
    return [bus.record(n % runs, n.to_bytes(4, "big") + bytes(size)) for n in range(count)]


def run(make, scenario):
    async def all_of_it():
        bus = make()
        try:
            await scenario(bus, bus.publisher)
        finally:
            await bus.close()

    asyncio.run(asyncio.wait_for(all_of_it(), 60))


def by_key(found):
    keys = {key for _, key, _, _ in found}
    return {key: [value for _, other, value, _ in found if other == key] for key in keys}


def test_all_of_it_arrives_once_in_the_order_of_send_in_the_partition_of_its_key(make):
    async def scenario(bus, publisher):
        await publisher.connect()
        sent = records(bus, 3000)
        acknowledged = []
        futures = [publisher.send(record) for record in sent]
        for record, future in zip(sent, futures, strict=True):
            future.add_done_callback(lambda _, record=record: acknowledged.append(record))
        assert publisher.waiting_since is not None
        last = bus.record(0, b"last")
        await asyncio.gather(*futures, publisher.send(last))
        assert publisher.waiting_since is None
        found = await bus.read()
        expected = [(r.key, r.value, r.headers) for r in [*sent, last]]
        assert Counter((key, value, headers) for _, key, value, headers in found) == Counter(expected)
        assert by_key(found) == by_key([(0, *item) for item in expected])
        assert by_key([(0, r.key, r.value, ()) for r in acknowledged]) == by_key(
            [(0, r.key, r.value, ()) for r in sent]
        )
        assert all(partition == partition_of(key, 12) for partition, key, _, _ in found)

    run(make, scenario)


def test_send_before_connect_and_after_close_raises(make):
    async def scenario(bus, publisher):
        with pytest.raises(BrokerUnavailable):
            publisher.send(records(bus, 1)[0])
        await publisher.connect()
        await publisher.send(records(bus, 1)[0])
        await publisher.close()
        with pytest.raises(BrokerUnavailable):
            publisher.send(records(bus, 1)[0])

    run(make, scenario)


def test_after_one_failure_nothing_goes_on_until_connect(make):
    async def scenario(bus, publisher):
        await publisher.connect()
        sent = records(bus, 600)
        await asyncio.gather(*(publisher.send(record) for record in sent[:300]))
        bus.break_it()
        ends = await asyncio.gather(*(publisher.send(record) for record in sent[300:]), return_exceptions=True)
        assert {type(end) for end in ends} == {BrokerUnavailable}
        with pytest.raises(BrokerUnavailable):
            publisher.send(sent[0])
        assert publisher.waiting_since is None
        await publisher.connect()
        await asyncio.gather(*(publisher.send(record) for record in sent[300:]))
        found = by_key(await bus.read())
        for key, values in by_key([(0, r.key, r.value, ()) for r in sent]).items():
            assert list(dict.fromkeys(found[key])) == values, "the first copies are in order"

    run(make, scenario)


def test_closing_with_records_on_their_way_fails_them(make):
    async def scenario(bus, publisher):
        await publisher.connect()
        futures = [publisher.send(record) for record in records(bus, 50)]
        await publisher.close()
        ends = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(end) for end in ends} == {BrokerUnavailable}

    run(make, scenario)


def test_a_record_too_large_is_named_and_the_rest_can_go_on(make):
    async def scenario(bus, publisher):
        # What does not compress, as the broker counts compressed bytes.
        sent = records(bus, 5, runs=1)
        sent[2] = bus.record(0, random.Random(1).randbytes(2 * MAX_BYTES))
        todo, rejected = list(sent), []
        for _ in range(10):
            await publisher.connect()
            try:
                ends = await asyncio.gather(*(publisher.send(record) for record in todo), return_exceptions=True)
            except BrokerUnavailable:
                continue
            refused = [r for r, end in zip(todo, ends, strict=True) if isinstance(end, RecordRejected)]
            rejected += refused
            todo = [r for r, end in zip(todo, ends, strict=True) if end is not None and r not in refused]
            if not todo:
                break
        assert rejected == [sent[2]]
        assert [value for _, _, value, _ in await bus.read()] == [r.value for r in sent if r is not sent[2]]

    run(make, scenario)


def test_connect_again_while_connected_starts_over(make):
    async def scenario(bus, publisher):
        for _ in range(3):
            await publisher.connect()
            await publisher.send(records(bus, 1)[0])
        assert len(await bus.read()) == 3

    run(make, scenario)
