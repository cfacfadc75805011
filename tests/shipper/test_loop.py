"""The shipper's loop over a topic in memory: failures at any moment, bounds, journals that vanish."""

from __future__ import annotations

import asyncio
import random
import shutil

import pytest
from tests.shipper.unpacking import unpack
from tests.shipper.world import by_producer, ends, written_by
from tests.shipper.writing import Trainer

from matih_kafka.errors import BrokerUnavailable
from matih_kafka.memory import MemoryPublisher
from matih_kafka.rate import Rate
from matih_schemas import codec
from matih_tracking.journal import listing
from matih_tracking.journal.cursor import Cursor
from matih_tracking.shipper import delivery, journals, process
from matih_tracking.shipper.journals import Journals
from matih_tracking.shipper.process import Shipper


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for rings no bell
        await asyncio.sleep(0.005)


class Bus:
    """A topic in memory, and a shipper on a spool."""

    def __init__(self, spool, **options):
        self.spool = spool
        self.publisher = MemoryPublisher()
        self.shipper = Shipper(Journals([spool], None), self.publisher, lambda shipper: self.is_empty(), **options)

    def is_empty(self):
        return not listing.journals(self.spool)

    def events(self):
        return [codec.decode(record.value) for partition in self.publisher.partitions for record in partition]

    def run(self, meanwhile=None):
        async def both():
            work = asyncio.ensure_future(meanwhile()) if meanwhile else None
            await self.shipper.run()
            if work is not None:
                await work

        asyncio.run(asyncio.wait_for(both(), 60))


@pytest.fixture
def bus(spool):
    return Bus(spool)


def trained(spool, count, calls=300, **options):
    trainers = [Trainer(spool, **options) for _ in range(count)]
    for trainer in trainers:
        trainer.log(calls)
        trainer.end()
    return trainers


def test_all_arrives(bus):
    trainers = trained(bus.spool, 3)
    bus.run()
    assert by_producer(bus.events()) == written_by(*trainers)
    assert bus.shipper.counts.entries == sum(len(trainer.said) for trainer in trainers)


def test_with_a_rate_the_next_journal_waits_for_its_time_and_nothing_is_lost(spool):
    trainers = trained(spool, 2, calls=50)
    slow = Bus(spool, rate=0.01)  # what the first look brings takes more than an hour

    async def look():
        await until(lambda: any(slow.publisher.partitions))
        slow.shipper.stop(0.0)

    slow.run(look)
    assert len(by_producer(slow.events())) == 1
    rest = Bus(spool, rate=1e9)
    rest.run()
    assert by_producer(slow.events() + rest.events()) == written_by(*trainers)


def test_a_rate_holds_on_average_whatever_comes_at_once():
    rate = Rate(100)
    assert rate.at == 0
    rate.took(50, now=10.0)
    assert rate.at == 10.5
    rate.took(20, now=10.1)
    assert rate.at == pytest.approx(10.7)
    rate.took(10, now=20.0)
    assert rate.at == pytest.approx(20.1)
    unbounded = Rate(None)
    unbounded.took(10**9, now=5.0)
    assert unbounded.at == 0


@pytest.mark.parametrize("seed", range(5))
def test_failures_at_any_moment_lose_nothing_and_keep_the_order_of_first_copies(bus, seed):
    pick = random.Random(seed)
    trainers = [Trainer(bus.spool, first_segment_bytes=8192) for _ in range(3)]

    async def chaos():
        for _ in range(8):
            for trainer in trainers:
                trainer.log(pick.randint(1, 400))
            bus.publisher.up = False
            await asyncio.sleep(pick.uniform(0, 0.03))
            bus.publisher.fail(BrokerUnavailable("on purpose"))
            bus.publisher.up = True
            await asyncio.sleep(pick.uniform(0, 0.05))
        for trainer in trainers:
            trainer.end()

    bus.run(chaos)
    assert by_producer(bus.events()) == written_by(*trainers)


def test_an_outage_holds_a_bounded_amount_in_memory(bus, monkeypatch):
    monkeypatch.setattr(delivery, "MAX_IN_FLIGHT_BYTES", 50_000)
    trainers = trained(bus.spool, 2, calls=10_000)
    held = []

    async def outage():
        await until(lambda: any(bus.publisher.partitions))
        bus.publisher.up = False
        for _ in range(20):
            await asyncio.sleep(0.01)
            held.append(bus.shipper._delivery.in_flight_bytes)
        bus.publisher.up = True
        bus.publisher.arrive()

    bus.run(outage)
    # Above the bound by what one look into each journal gives.
    assert 0 < max(held) < 50_000 + 2 * 256 * 1024
    assert by_producer(bus.events()) == written_by(*trainers)


def test_a_record_that_is_always_rejected_is_told_and_tried_with_growing_pauses(bus):
    bus.publisher.max_bytes = 10
    trained(bus.spool, 1, calls=5)
    connects = []
    connect = bus.publisher.connect

    async def counted():
        connects.append(1)
        await connect()

    bus.publisher.connect = counted

    async def look():
        await until(lambda: bus.shipper._retry >= 1.0)
        assert len(connects) <= 5
        assert "more than 10 bytes" in bus.shipper.outage.reason
        bus.publisher.max_bytes = 1 << 20

    bus.run(look)
    assert bus.shipper.outage.reason is None


def test_a_journal_that_vanishes_does_not_stop_the_others(bus):
    doomed, other = Trainer(bus.spool), Trainer(bus.spool)

    async def vanish():
        doomed.log(10)
        await until(other.journal.acked)
        shutil.rmtree(doomed.journal.path)
        other.log(100)
        other.end()

    bus.run(vanish)
    assert by_producer(bus.events())[other.producer_id] == written_by(other)[other.producer_id]


def test_what_can_be_read_of_a_damaged_journal_is_delivered_once_however_often_it_is_looked_at(bus, monkeypatch):
    monkeypatch.setattr(journals, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(process, "TIDY_SECONDS", 0.02)
    (trainer,) = trained(bus.spool, 1, calls=1000, first_segment_bytes=8192, max_segment_bytes=8192)
    segments = sorted(trainer.journal.path.glob("*.seg"))
    segments[2].write_bytes(segments[1].read_bytes())
    looks = []
    leave = bus.shipper.journals._leave
    monkeypatch.setattr(bus.shipper.journals, "_leave", lambda *said: looks.append(said) or leave(*said))
    bus.shipper._is_done = lambda shipper: len(looks) > 5
    bus.run()
    found = by_producer(bus.events())[trainer.producer_id]
    assert found == written_by(trainer)[trainer.producer_id][: len(found)]
    assert len(found) > 50
    assert sum(len(list(unpack(event))) for event in bus.events()) == len(found), "nothing is sent twice"
    assert Cursor(trainer.journal.path).acked == len(found)


def test_stop_drains_what_is_there_and_ends_in_time_when_nothing_moves(bus):
    trainer = Trainer(bus.spool)

    async def stop():
        await until(trainer.journal.acked)
        trainer.log(1000)
        bus.shipper.stop(30.0)

    bus.run(stop)
    assert trainer.journal.acked() == len(trainer.said)


def test_stop_drains_a_journal_that_came_since_the_last_look(bus):
    bus.shipper._is_done = lambda shipper: False
    late = []

    async def come_and_stop():
        await until(lambda: bus.shipper._delivery.failure is None)
        late.extend(trained(bus.spool, 1))
        bus.shipper.stop(30)

    bus.run(come_and_stop)
    assert by_producer(bus.events()) == written_by(*late)


def test_stop_ends_in_time_when_kafka_is_silent(bus):
    trainer = Trainer(bus.spool)

    async def stop():
        await until(trainer.journal.acked)
        bus.publisher.up = False
        trainer.log(1000)
        bus.shipper.stop(0.5)

    bus.run(stop)
    assert trainer.journal.acked() < len(trainer.said)


def test_a_death_whose_event_was_lost_is_told_again_as_the_same_event(bus, monkeypatch):
    dead = Trainer(bus.spool)
    dead.log(10)
    dead.vanish()
    told = []
    send = bus.publisher.send
    monkeypatch.setattr(bus.publisher, "send", lambda record: told.append(record) or send(record))
    monkeypatch.setattr(bus.publisher, "arrive", lambda: None)

    async def fail():
        await until(lambda: any(tail.died_told for tail in bus.shipper.journals))
        await until(lambda: len(told) >= 3)
        monkeypatch.undo()
        bus.publisher.fail(BrokerUnavailable("on purpose"))

    bus.run(fail)
    (end,) = ends([codec.decode(record.value) for record in told] + bus.events())[dead.producer_id]
    assert (end.status, end.inferred, end.sequence) == ("FAILED", True, len(dead.said))
    assert ends(bus.events())[dead.producer_id] == [end]


def test_a_full_disk_under_the_cursor_is_waited_out(bus, monkeypatch):
    trainers = trained(bus.spool, 1)
    store, refusals = Cursor.store, []

    def full(self, position):
        if len(refusals) < 3:
            refusals.append(position)
            raise OSError(28, "No space left on device")
        store(self, position)

    monkeypatch.setattr(Cursor, "store", full)
    bus.run()
    assert by_producer(bus.events()) == written_by(*trainers)
    assert len(refusals) == 3
