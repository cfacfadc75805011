"""Ending tasks: also one that loses a cancel, as aiokafka's closing does."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from matih_kafka.tasks import end


async def stubborn(cancels: int) -> None:
    for _ in range(cancels):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
    await asyncio.sleep(60)


async def failing() -> None:
    try:
        await asyncio.sleep(60)
    finally:
        raise RuntimeError("ended so")


def test_a_task_that_loses_cancels_ends() -> None:
    async def ended() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(work) for work in (stubborn(2), stubborn(0), failing())]
        await asyncio.sleep(0)
        await end(tasks, again=0.01)
        return tasks

    tasks = asyncio.run(ended())
    assert [task.cancelled() for task in tasks] == [True, True, False]


def test_none_is_ended_at_once() -> None:
    asyncio.run(end([]))
