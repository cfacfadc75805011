"""What waits for one partition, and for how long: the bookkeeping of a publisher, without any I/O."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from matih_kafka.publisher import Record


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record and the future that its sender waits for."""

    record: Record
    future: asyncio.Future[None]

    def acknowledge(self) -> None:
        """The topic has it."""
        if not self.future.done():
            self.future.set_result(None)

    def fail(self, error: Exception) -> None:
        """It has to be sent again."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # marks it as seen: a sender that restarts may never look at each one


@dataclass
class Lane:
    """One partition's queue: what is handed over comes back as batches, one on its way at a time."""

    partition: int
    queue: deque[Waiting] = field(default_factory=deque)
    on_its_way: list[Waiting] = field(default_factory=list)
    since: float | None = None

    def put(self, waiting: Waiting) -> None:
        """Queues a record behind the others."""
        self.queue.append(waiting)
        if self.since is None:
            self.since = time.monotonic()

    def acknowledge(self) -> None:
        """The batch on its way has arrived."""
        for waiting in self.on_its_way:
            waiting.acknowledge()
        self.on_its_way = []
        self.since = time.monotonic() if self.queue else None

    def fail(self, error: Exception, culprit: Waiting | None = None, reason: Exception | None = None) -> None:
        """Everything here has to be sent again; the culprit hears its own reason."""
        for waiting in (*self.on_its_way, *self.queue):
            waiting.fail(reason if reason is not None and waiting is culprit else error)
        self.queue.clear()
        self.on_its_way = []
        self.since = None
