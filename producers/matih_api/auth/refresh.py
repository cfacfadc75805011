"""Blocking work for the event loop: in a thread, once at a time, for all who wait for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Refresh:
    """Runs `work` in a thread. Whoever asks while it runs waits for the same run."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._task is not None and not self._task.done()

    def start(self) -> asyncio.Task[None]:
        """Begins it, if it is not under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(asyncio.to_thread(self._work))
        return self._task

    async def wait(self, seconds: float) -> None:
        """Begins it and waits until it is done, or so many seconds; then it goes on by itself.

        Raises whatever `work` raises.
        """
        done, _ = await asyncio.wait((self.start(),), timeout=seconds)
        for task in done:
            task.result()
