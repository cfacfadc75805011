"""The bound on bytes that wait to be applied."""

from __future__ import annotations

import asyncio

from matih_workers.room import Room


def test_values_wait_for_room_and_one_that_is_too_large_goes_alone() -> None:
    async def scenario() -> list[int]:
        room, entered = Room(10), []

        async def come(sizes: list[int]) -> None:
            for size in sizes:
                await room.enter(b"x" * size)
                entered.append(size)

        coming = asyncio.ensure_future(come([4, 6, 1, 50, 0, 3]))
        seen = []
        for leaving in (0, 10, 1, 50):
            room.leave(leaving)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(len(entered))
        await coming
        return seen

    assert asyncio.run(scenario()) == [2, 3, 4, 6]


def test_no_value_needs_no_room() -> None:
    async def scenario() -> bytes | None:
        room = Room(1)
        await room.enter(b"x")
        return await asyncio.wait_for(room.enter(None), 1)

    assert asyncio.run(scenario()) is None
