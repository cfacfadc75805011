"""Ending what runs beside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

AGAIN_SECONDS: Final = 2.0
"""Longer than a task takes that closes its connections when it is cancelled."""


async def end(tasks: Iterable[asyncio.Task[Any]], again: float = AGAIN_SECONDS) -> None:
    """Cancels tasks until they have ended, whatever they end with; every `again` seconds once more.

    One cancel is not enough: aiokafka's clients suppress one that meets their own closing, and may then wait for
    metadata that nobody fetches any more; `asyncio.wait_for` loses one before Python 3.12.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=again)
        for task in ended:
            if not task.cancelled():
                task.exception()  # seen: whoever waited for the task's work has been told
