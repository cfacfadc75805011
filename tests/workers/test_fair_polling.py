"""What is polled: every partition gives its share, but none whose lane is full."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiokafka.consumer.fetcher import FetchResult
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from matih_workers.fair_polling import FairThread, fetched
from matih_workers.lanes import ROOM_BYTES, Lanes
from matih_workers.records import Received

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pair(NamedTuple):
    topic: str
    partition: int


FLOOD, RUN = Pair("t", 0), Pair("t", 1)


class Fetched:
    """aiokafka's consumer with what its fetcher has: all of the first partition before the next."""

    def __init__(self, sizes: dict[Pair, Sequence[int]]) -> None:
        self.left = {
            pair: [SimpleNamespace(value=b"x" * size, offset=offset) for offset, size in enumerate(some)]
            for pair, some in sizes.items()
        }
        self.ends = {pair: len(some) for pair, some in sizes.items()}
        self.waited: list[float | None] = []

    @property
    def _fetcher(self) -> Any:
        results = {pair: FetchResult.__new__(FetchResult) for pair, records in self.left.items() if records}
        return SimpleNamespace(_records={Pair("t", 9): object(), **results})

    def highwater(self, pair: Pair) -> int:
        return self.ends[pair]

    async def records(self, pairs: set[Pair], timeout: float | None, max_records: int) -> dict[Pair, Any]:
        assert pairs, "no pairs means all"
        for pair, records in self.left.items():
            if pair in pairs and records:
                taken, self.left[pair] = records[:max_records], records[max_records:]
                return {pair: taken}
        self.waited.append(timeout)
        return {}


@pytest.fixture
def lanes() -> Lanes:
    return Lanes()


@pytest.fixture
def thread(lanes: Lanes, monkeypatch: pytest.MonkeyPatch) -> FairThread:
    async def fetch(_self: Any, consumer: Fetched, pairs: Any, timeout: Any = None, max_records: Any = None) -> Any:
        return await consumer.records(pairs, timeout, max_records)

    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch)
    made = FairThread.__new__(FairThread)
    made._lanes = lanes
    made.consumer = SimpleNamespace(flow_active=True)  # type: ignore[assignment]
    return made


def fill(lanes: Lanes, pair: Pair) -> None:
    lanes.put(Received(pair.topic, pair.partition, 0, b"k", b"x" * ROOM_BYTES))


def poll(thread: FairThread, consumer: Fetched) -> dict[Pair, int]:
    found = asyncio.run(thread._fetch_records(consumer, {FLOOD, RUN}, 1.0, 64))
    return {pair: len(records) for pair, records in found.items()}


def test_each_gives_what_its_lane_has_room_for(thread: FairThread, lanes: Lanes) -> None:
    consumer = Fetched({FLOOD: [100_000] * 50, RUN: [1_000] * 100})
    found = poll(thread, consumer)
    assert found == {FLOOD: -(-ROOM_BYTES // 100_000), RUN: 64}


def test_a_full_lane_is_left_out_and_the_wait_for_the_others_is_short(thread: FairThread, lanes: Lanes) -> None:
    consumer = Fetched({FLOOD: [11_000] * 50, RUN: [1_000] * 3})
    fill(lanes, FLOOD)
    assert poll(thread, consumer) == {RUN: 3}
    assert poll(thread, consumer) == {}
    fill(lanes, RUN)
    assert poll(thread, consumer) == {}
    assert len(consumer.left[FLOOD]) == 50
    assert all(timeout is not None and timeout < 0.1 for timeout in consumer.waited)


def test_with_room_for_all_it_waits_as_long_as_it_is_told(thread: FairThread) -> None:
    consumer = Fetched({FLOOD: [], RUN: []})
    assert poll(thread, consumer) == {}
    assert consumer.waited == [1.0]


def test_the_lanes_learn_what_came_and_what_is_left(
    thread: FairThread, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(lanes, "polled", lambda partition, *what: told.__setitem__(partition, what))
    poll(thread, Fetched({FLOOD: [100_000] * 500, RUN: [1_000] * 2}))
    assert told == {FLOOD.partition: (600_000, 494), RUN.partition: (2_000, 0)}


def test_only_wanted_partitions_with_records_are_here() -> None:
    consumer = Fetched({FLOOD: [1], RUN: []})
    assert fetched(consumer, {FLOOD, RUN, Pair("t", 9)}) == [FLOOD]
    assert fetched(consumer, {RUN}) == []
