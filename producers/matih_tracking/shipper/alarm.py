"""A sleep that can be cut short."""

from __future__ import annotations

import asyncio


class Alarm:
    """One sleeper, woken by the clock or by `ring`."""

    def __init__(self) -> None:
        self._rung = False
        self._sleeper: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Ends the sleep now; if nobody sleeps, the next one."""
        self._rung = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    def clear(self) -> None:
        """Forgets that it was rung."""
        self._rung = False

    async def sleep(self, seconds: float) -> None:
        """Sleeps for at most so long."""
        if self._rung or seconds <= 0:
            self._rung = False
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        self._sleeper = loop.create_future()
        timer = loop.call_later(seconds, self.ring)
        try:
            await self._sleeper
        finally:
            timer.cancel()
            self._sleeper = None
            self._rung = False
