"""Turns of as many bytes for each partition: a backlog of large records on others does not stand before small ones."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.fetcher import FetchResult
from hypothesis import given
from hypothesis import strategies as st

from matih_workers.fair_polling import TURN_BYTES, TURN_BYTES_MAX, FairThread, next_turn, waiting_partitions

SIZES = st.lists(st.integers(0, 200_000) | st.just(None), max_size=30)


def record(size: int | None) -> SimpleNamespace:
    return SimpleNamespace(value=None if size is None else b"x" * size)


@given(st.dictionaries(st.integers(0, 11), SIZES))
def test_a_turn_is_as_large_as_the_largest_record_within_bounds(sizes: dict[int, list[int | None]]) -> None:
    turn = next_turn({partition: [record(size) for size in some] for partition, some in sizes.items()})
    assert TURN_BYTES <= turn <= TURN_BYTES_MAX
    largest = max((size or 0 for some in sizes.values() for size in some), default=0)
    assert turn == largest or largest < turn == TURN_BYTES or largest > turn == TURN_BYTES_MAX


def test_only_active_partitions_with_records_wait() -> None:
    result = FetchResult.__new__(FetchResult)
    fetched = {1: result, 2: object(), 3: result}
    assert waiting_partitions(fetched, None) == [1, 3]
    assert waiting_partitions(fetched, {2, 3}) == [3]


class Fetched:
    """Partitions with records, as aiokafka's fetcher gives them: all of the first before the next."""

    def __init__(self, **sizes: list[int]) -> None:
        self.left = {partition: [record(size) for size in some] for partition, some in sizes.items()}

    async def fetched_records(self, partitions: set[str], timeout: float, max_records: int) -> dict[str, Any]:
        for partition, records in self.left.items():
            if partition in partitions and records:
                taken, self.left[partition] = records[:max_records], records[max_records:]
                return {partition: taken}
        return {}


def test_small_records_get_as_many_bytes_as_large_ones(monkeypatch: Any) -> None:
    source = Fetched(flood=[20_000] * 50, run=[1_000] * 100)

    async def one_of(_self: Any, _consumer: Any, partitions: set[str], timeout: float, max_records: int) -> Any:
        return await source.fetched_records(partitions, timeout, max_records)

    monkeypatch.setattr("matih_workers.fair_polling.AIOKafkaConsumerThread._fetch_records", one_of)
    monkeypatch.setattr("matih_workers.fair_polling.waiting_partitions", lambda *_: ["flood", "run"])
    thread = FairThread.__new__(FairThread)
    thread.consumer = SimpleNamespace(flow_active=True)  # type: ignore[assignment]
    consumer = SimpleNamespace(_fetcher=SimpleNamespace(_records=None))
    first, second = (asyncio.run(thread._fetch_records(consumer, None, 1.0, 64)) for _ in range(2))
    assert {name: len(some) for name, some in first.items()} == {"flood": 1, "run": 5}
    assert {name: len(some) for name, some in second.items()} == {"flood": 1, "run": 20}
