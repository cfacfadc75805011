"""What a refusal says of the write: nothing was taken, or it may have been."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matih_api.problems import Problem
from matih_api.publishing import EventPublisher
from matih_kafka.errors import BrokerUnavailable
from matih_kafka.memory import MemoryPublisher
from matih_kafka.publisher import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RECORD = Record(b"acme/r", b"x")
PATIENCE = 0.05


def run(scenario: Callable[[EventPublisher, MemoryPublisher], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        topic = MemoryPublisher(max_bytes=10)
        events = EventPublisher(topic, PATIENCE)
        await events.start()
        try:
            await scenario(events, topic)
        finally:
            await events.close()

    asyncio.run(asyncio.wait_for(all_of_it(), 30))


async def refused(events: EventPublisher, *records: Record) -> str:
    with pytest.raises(Problem) as raised:
        await events.publish(records or [RECORD])
    assert (raised.value.status, raised.value.kind) == (503, "event-log-unavailable")
    assert raised.value.headers == {"Retry-After": "2"}
    return raised.value.detail


def test_what_a_hung_publisher_was_given_may_have_been_taken() -> None:
    async def scenario(events: EventPublisher, topic: MemoryPublisher) -> None:
        topic.up = False
        told = await refused(events)
        assert told.startswith("it may have been taken: no acknowledgement within 0.05 s")
        assert "same Idempotency-Key" in told
        assert (await refused(events)).startswith("nothing was taken: ")

    run(scenario)


def test_behind_another_that_waits_too_long_nothing_is_taken() -> None:
    async def scenario(events: EventPublisher, topic: MemoryPublisher) -> None:
        topic.up = False
        topic.send(RECORD)
        await asyncio.sleep(2 * PATIENCE)
        assert (await refused(events)).startswith("nothing was taken: no acknowledgement within 0.05 s")

    run(scenario)


def test_what_was_under_way_when_the_connection_broke_may_have_been_taken() -> None:
    async def scenario(events: EventPublisher, topic: MemoryPublisher) -> None:
        topic.up = False
        waiting = asyncio.create_task(refused(events))
        await asyncio.sleep(0)
        topic.fail(BrokerUnavailable("the connection broke"))
        assert (await waiting).startswith("it may have been taken: the connection broke")

    run(scenario)


def test_a_connection_that_broke_before_has_taken_nothing() -> None:
    async def scenario(events: EventPublisher, topic: MemoryPublisher) -> None:
        topic.up = False
        topic.fail(BrokerUnavailable("the connection broke"))
        assert (await refused(events)).startswith("nothing was taken: ")

    run(scenario)


def test_one_that_breaks_in_the_middle_of_a_batch_may_have_taken_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(events: EventPublisher, topic: MemoryPublisher) -> None:
        send = topic.send

        def breaks(record: Record) -> asyncio.Future[None]:
            monkeypatch.setattr(topic, "send", _broken)
            return send(record)

        monkeypatch.setattr(topic, "send", breaks)
        assert (await refused(events, RECORD, RECORD)).startswith("it may have been taken: ")

    run(scenario)


def _broken(_record: Record) -> asyncio.Future[None]:
    raise BrokerUnavailable("the connection broke")
