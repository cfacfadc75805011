"""Records that were taken from Kafka when the flow stopped, as in a rebalance, come again."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import IllegalStateError, KafkaTimeoutError
from faust.transport.drivers.aiokafka import Consumer
from tests.workers.test_loop import compare, trained

from matih_workers.seeking import SeekingConsumer

if TYPE_CHECKING:
    from tests.workers.pipe import Pipe


@pytest.mark.parametrize("failing", [pytest.param({}, marks=pytest.mark.soak), {"FAILING_SEEKS": "1"}])
def test_what_is_dropped_when_the_flow_stops_comes_again(pipe: Pipe, failing: dict[str, str]) -> None:
    """Of partitions whose offset was never committed too: a seek to what is committed leaves these where they are."""
    producers, events = trained(runs=20, events=3, points=20)
    pipe.start(module="tests.workers.halting", **failing)
    part = len(events) // 4
    for number in range(0, len(events), part):
        pipe.publish(events[number : number + part])
        pipe.settled()
    assert len(re.findall("dropped [1-9]", pipe.log())) >= 3
    assert pipe.dead_letters() == []
    compare(pipe, producers)


class Sought(SeekingConsumer):
    """Its seeks end as it is told, one after the other; no error means that it succeeds."""

    def __init__(self, *ends: Exception | None, assigned: bool = True) -> None:
        self.ends, self.assigned, self.flow_active = list(ends), assigned, True

    def assignment(self) -> Any:
        return {1} if self.assigned else set()

    def polled(self) -> bool:
        """Whether a poll came to taking records."""
        return bool(asyncio.run(self._wait_next_records(1.0))[0])


@pytest.fixture
def _faust(monkeypatch: pytest.MonkeyPatch) -> None:
    async def seek(self: Any) -> None:
        if (error := self.ends.pop(0)) is not None:
            raise error

    async def records(_self: Any, _timeout: float) -> Any:
        return {"some": "records"}, set()

    monkeypatch.setattr(Consumer, "perform_seek", seek)
    monkeypatch.setattr(Consumer, "_wait_next_records", records)


def failed(consumer: Sought) -> Sought:
    with pytest.raises(KafkaTimeoutError):
        asyncio.run(consumer.perform_seek())
    return consumer


@pytest.mark.usefixtures("_faust")
def test_nothing_is_taken_before_a_seek_that_failed_has_succeeded() -> None:
    consumer = failed(Sought(KafkaTimeoutError(), IllegalStateError(), None))
    assert [consumer.polled() for _ in range(3)] == [False, True, True]
    assert consumer.ends == []


@pytest.mark.usefixtures("_faust")
def test_a_worker_without_partitions_seeks_nothing_and_goes_on() -> None:
    assert failed(Sought(KafkaTimeoutError(), assigned=False)).polled()


@pytest.mark.usefixtures("_faust")
def test_a_seek_that_fails_again_ends_the_worker() -> None:
    consumer = failed(Sought(KafkaTimeoutError(), KafkaTimeoutError()))
    with pytest.raises(KafkaTimeoutError):
        consumer.polled()
