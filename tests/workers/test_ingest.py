"""What is kept, what is tried again, and what becomes a dead letter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.workers.journals import Entry, Producer
from tests.workers.test_attempts import die_over

from matih_kafka.memory import MemoryPublisher
from matih_schemas import codec
from matih_workers.attempts import Attempts
from matih_workers.backoff import Backoff
from matih_workers.batch import metric_count
from matih_workers.changes import RunChange
from matih_workers.dead_letters import DeadLetters
from matih_workers.health import Health
from matih_workers.ingest import Ingest
from matih_workers.lanes import Lanes
from matih_workers.pace import REST, REST_MAX, Pace, rest_after
from matih_workers.records import Received
from matih_workers.settings import WorkerSettings
from matih_workers.stores.memory import MemoryStore
from matih_workers.stores.protocol import NOWHERE, StoreTooSlow, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matih_schemas.events import TrackingEvent
    from matih_workers.changes import Change
    from matih_workers.positions import Spans
    from matih_workers.stores.protocol import Refusals


class FailingStore(MemoryStore):
    """Fails as it is told to.

    Attributes:
        outages: how many calls still fail with an outage.
        sick: as long as it is, nothing works, and no call says why.
        too_many: points that take too long; None: any number is fine.
        poison: params whose presence makes a batch fail.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outages = 0
        self.sick = 0
        self.too_many: int | None = None
        self.poison: set[str] = set()
        self.batches: list[int] = []

    def apply(self, changes: Sequence[Change], spans: Spans = NOWHERE) -> Refusals:
        self.batches.append(len(changes))
        if self.outages:
            self.outages -= 1
            raise StoreUnavailable("down on purpose")
        if self.too_many is not None and metric_count(changes) >= self.too_many:
            raise StoreTooSlow("too slow on purpose")
        params = {
            key
            for change in changes
            if isinstance(change, RunChange)
            for item in change.logged
            for key, _ in item.params
        }
        if self.sick or params & self.poison:
            raise RuntimeError("no word about why")
        return super().apply(changes, spans)

    def probe(self) -> None:
        if self.sick:
            self.sick -= 1
            raise StoreUnavailable("sick on purpose")


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store, self.publisher, self.health = FailingStore(), MemoryPublisher(), Health()
        self.settings = WorkerSettings(worker_backoff=1e-6, worker_backoff_max=1e-5, worker_attempts=3)
        letters = DeadLetters(self.publisher, self.health, lambda: Backoff(1e-6, 1e-5))
        self.attempts = Attempts(folder)
        self.ingest = Ingest(self.store, letters, self.attempts, self.health, self.settings)

    def settle(self, *events: TrackingEvent | Received) -> None:
        records = [received(event, offset) for offset, event in enumerate(events)]

        async def all_parts() -> None:
            for part in self.parts(records):
                while part := part[await self.ingest.settle(part) :]:
                    pass

        asyncio.run(all_parts())

    def parts(self, records: list[Received]) -> Iterator[list[Received]]:
        """As the worker takes them."""
        lanes = Lanes()
        for record in records:
            lanes.put(record)
        while part := lanes.part(self.ingest.points, self.ingest.events, self.ingest.alone):
            yield part

    def reasons(self) -> list[str]:
        """Of the dead letters, partition by partition."""
        records = [record for partition in self.publisher.partitions for record in partition]
        return sorted(dict(record.headers)["matih.reason"].decode() for record in records)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def received(event: TrackingEvent | Received, offset: int = 0) -> Received:
    if isinstance(event, Received):
        return event
    return Received("t", 0, offset, codec.event_key(event), codec.encode(event), (("h", b"1"),), 1234)


def points(bench: Bench, who: Producer) -> int:
    return len(bench.store.runs[who.run_id].metrics)


def test_an_outage_keeps_everything_and_is_no_dead_letter(bench: Bench) -> None:
    who = Producer()
    bench.store.outages = 20
    bench.settle(who.created(), who.log(Entry({"a": 1.0})))
    assert (points(bench, who), bench.reasons(), bench.store.batches) == (1, [], [2] * 21)
    assert bench.health.report()["store"]["state"] == "up"
    assert bench.health.report()["retries"] == 20


def test_a_store_too_slow_for_a_batch_gets_smaller_ones(bench: Bench) -> None:
    who = Producer()
    logs = [who.log(*[Entry({"a": 1.0}, step=number * 10 + i) for i in range(10)]) for number in range(16)]
    bench.store.too_many = 50
    bench.settle(who.created(), *logs, who.ended())
    assert (points(bench, who), bench.reasons()) == (160, [])
    assert bench.store.batches[0] == 18
    assert bench.health.report()["store"]["state"] == "up"
    assert len(list(bench.parts([received(log, offset) for offset, log in enumerate(logs)]))) > 1


def test_an_event_too_slow_by_itself_is_waited_for_and_no_poison(bench: Bench) -> None:
    async def scenario() -> None:
        bench.store.too_many = 1
        who = Producer()
        task = asyncio.create_task(bench.ingest.settle([received(who.created()), received(who.log(Entry({"a": 1.0})))]))
        await asyncio.wait({task}, timeout=0.1)
        assert len(bench.store.batches) > 3 * bench.settings.worker_attempts
        assert not task.done()
        bench.store.too_many = None
        await task
        assert points(bench, who) == 1

    asyncio.run(scenario())
    assert bench.reasons() == []


def test_the_pace_falls_by_half_and_comes_back_slowly() -> None:
    pace = Pace(20_000)
    pace.too_slow(8_000)
    assert pace.points == 4_000
    pace.kept_up(3_999)
    assert pace.points == 4_000, "less than the bound says nothing about it"
    pace.kept_up(4_000)
    assert pace.points == 4_400
    for _ in range(100):
        pace.kept_up(20_000)
    assert pace.points == 20_000
    for _ in range(100):
        pace.too_slow(20_000)
    assert pace.points == 1


def test_a_rest_is_as_long_as_the_batch_was_slow_and_never_long() -> None:
    assert (rest_after(0.0), rest_after(0.01), rest_after(30.0)) == (0.0, 0.01 * REST, REST_MAX)


def test_a_store_that_fails_without_a_word_is_asked_and_waited_for(bench: Bench) -> None:
    who = Producer()
    bench.store.sick = 20
    bench.settle(who.created(), who.log(Entry({"a": 1.0})))
    assert (points(bench, who), bench.reasons()) == (1, [])


def test_one_poisonous_event_is_found_and_the_others_go_on(bench: Bench) -> None:
    who, other = Producer(), Producer()
    bench.store.poison = {"bad"}
    good = [who.log(Entry({"a": float(step)}, step=step)) for step in range(6)]
    bad = other.log(Entry(params={"bad": "1"}))
    bench.settle(who.created(), other.created(), *good[:3], bad, *good[3:], who.ended())
    assert points(bench, who) == 6
    assert bench.store.runs[who.run_id].status == "FINISHED"
    assert bench.reasons() == ["poison"]
    (letter,) = [record for partition in bench.publisher.partitions for record in partition]
    headers = dict(letter.headers)
    assert (letter.value, letter.timestamp_ms, headers["h"]) == (codec.encode(bad), 1234, b"1")
    assert headers["matih.attempts"] == b"3"
    assert b"no word about why" in headers["__connect.errors.exception.message"]
    assert headers["__connect.errors.exception.class.name"] == b"builtins.RuntimeError"
    assert int(headers["matih.first_failed_at"]) > 1_700_000_000_000
    assert bench.health.report()["dead_letters"] == {"poison": 1}


def test_a_flood_of_poison_lets_others_between_and_is_tried_once_when_it_is_known(bench: Bench) -> None:
    flood, live = Producer(), Producer()
    bench.store.poison = {"bad"}
    bad = [received(flood.log(Entry(params={"bad": "1"})), offset) for offset in range(300)]
    lanes, turns = Lanes(), []
    for record in bad:
        lanes.put(record)
    lanes.polled(1, 0, left=0)
    events = [live.created(), *(live.log(Entry({"a": float(step)}, step=step)) for step in range(9))]
    mine = [Received("t", 1, number, codec.event_key(one), codec.encode(one)) for number, one in enumerate(events)]

    async def all_parts() -> None:
        while part := lanes.part(bench.ingest.points, bench.ingest.events, bench.ingest.alone):
            settled = await bench.ingest.settle(part)
            lanes.put_back(part[settled:])
            turns.append((part[0].partition, len(part), settled))
            if mine:
                lanes.put(mine.pop(0))

    asyncio.run(all_parts())
    assert bench.reasons() == ["poison"] * 300
    assert points(bench, live) == 9
    assert max(number for number, (partition, _, _) in enumerate(turns) if partition == 1) < 20
    assert sum(settled for _, _, settled in turns) == 310
    assert {size for partition, size, _ in turns[20:] if partition == 0} == {1}
    assert len(bench.store.batches) < 400, "one try each, when it is known that more do not help"


def test_an_error_in_reading_an_event_is_its_poison(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    who = Producer()
    evil = received(who.log(Entry({"a": 1.0})), 1)
    read = bench.ingest._read
    monkeypatch.setattr(bench.ingest, "_read", lambda record: 1 // 0 if record.offset == 1 else read(record))
    bench.settle(received(who.created()), evil, received(who.ended(), 2))
    assert bench.reasons() == ["poison"]
    assert bench.store.runs[who.run_id].status == "FINISHED"


def test_dead_letters_wait_for_kafka(bench: Bench) -> None:
    async def scenario() -> None:
        bench.publisher.up = False
        task = asyncio.create_task(bench.ingest.settle([Received("t", 0, 0, b"k", b"garbage")]))
        await asyncio.wait({task}, timeout=0.1)
        assert not task.done(), "not settled before the dead letter is safe"
        assert not bench.health.kafka_works()
        assert "down on purpose" in bench.health.report()["dead_letters_topic"]["message"]
        assert bench.health.report()["retries"] > 1
        bench.publisher.up = True
        await task

    asyncio.run(scenario())
    assert bench.reasons() == ["malformed"]
    assert bench.health.report()["dead_letters_topic"]["state"] == "up"


def test_a_dead_letter_too_large_for_its_topic_goes_without_its_value(bench: Bench) -> None:
    bench.publisher.max_bytes = 10
    bench.settle(Received("t", 4, 77, b"k", b"x" * 100), Received("t", 4, 78, b"k", b"short"))
    assert bench.reasons() == ["malformed", "malformed"]
    letters = {dict(r.headers)["__connect.errors.offset"]: r for part in bench.publisher.partitions for r in part}
    assert (letters[b"77"].value, dict(letters[b"77"].headers)["matih.value_left_out"]) == (b"", b"100")
    assert letters[b"78"].value == b"short"


def test_a_record_without_key_or_value(bench: Bench) -> None:
    bench.settle(Received("t", 0, 0, None, None))
    (letter,) = [record for partition in bench.publisher.partitions for record in partition]
    assert dict(letter.headers)["matih.null"] == b"key,value"


def test_what_killed_workers_is_taken_alone_and_given_up_in_the_end(bench: Bench, tmp_path: Path) -> None:
    who = Producer()
    events = [who.created(), who.log(Entry({"a": 1.0})), who.log(Entry({"a": 2.0})), who.ended()]
    records = [received(event, offset) for offset, event in enumerate(events)]
    for _ in range(3):
        die_over(tmp_path, *records[1:2])
    bench = Bench(tmp_path)
    assert [len(part) for part in bench.parts(records)] == [1, 1, 2]
    bench.settle(*records)
    assert bench.reasons() == ["poison"]
    assert points(bench, who) == 1
    assert bench.attempts.deaths(records[1]) == 0


def test_parts_are_bounded_by_points(bench: Bench) -> None:
    who = Producer()
    records = [received(who.log(*[Entry({"a": 1.0}, step=i) for i in range(999)]), offset) for offset in range(30)]
    bench.ingest._pace = Pace(5000)
    parts = list(bench.parts(records))
    assert [record for part in parts for record in part] == records
    assert {len(part) for part in parts[:-1]} <= {2, 3, 4, 5}


def test_after_stop_nothing_new_begins(bench: Bench) -> None:
    async def scenario() -> None:
        bench.ingest.stop()
        task = asyncio.create_task(bench.ingest.settle([received(Producer().created())]))
        await asyncio.wait({task}, timeout=0.05)
        assert not task.done()
        await bench.ingest.idle()
        task.cancel()

    asyncio.run(scenario())
    assert bench.store.batches == []


def test_waits_grow_to_a_limit_and_respect_what_is_asked() -> None:
    backoff = Backoff(0.2, 5.0, jitter=lambda: 1.0)
    assert [round(backoff.next(), 3) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert backoff.next(at_least=60.0) == 60.0
    backoff.reset()
    assert 0.1 <= Backoff(0.2, 5.0).next() <= 0.2
