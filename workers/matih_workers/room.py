"""A bound on the bytes that wait to be applied: Faust counts events, and an event may have a megabyte."""

from __future__ import annotations

import asyncio
from typing import Final

ROOM_BYTES: Final = 512 << 10


class Room:
    """Values come in one after the other; `leave` gives their bytes back. For one event loop."""

    def __init__(self, size: int = ROOM_BYTES) -> None:
        self._size = size
        self._taken = 0
        self._left = asyncio.Event()

    async def enter(self, value: bytes | None) -> bytes | None:
        """Waits until there is room, or nothing else is in it; returns the value."""
        needed = len(value or b"")
        while self._taken and self._taken + needed > self._size:
            self._left.clear()
            await self._left.wait()
        self._taken += needed
        return value

    def leave(self, size: int) -> None:
        """So many bytes are settled."""
        self._taken = max(0, self._taken - size)
        self._left.set()
