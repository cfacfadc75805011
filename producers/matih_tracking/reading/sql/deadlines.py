"""Breaks connections off whose time is over: a server that hangs obeys no time-out of its own."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(eq=False)
class Watched:
    """A connection in use.

    Attributes:
        broke_off: whether its time was over.
    """

    descriptor: int
    deadline: float
    broke_off: bool = False


class Deadlines:
    """Watches any number of connections with one thread, which begins with the first one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: set[Watched] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, descriptor: int, deadline: float) -> Iterator[Watched]:
        """Breaks the connection off at the deadline (`time.monotonic`), if it is still in use then."""
        watched = Watched(descriptor, deadline)
        with self._changed:
            self._watched.add(watched)
            self._begin()
            self._changed.notify()
        try:
            yield watched
        finally:
            with self._changed:
                self._watched.discard(watched)

    def _begin(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._watch, name="matih-read-deadlines", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for watched in [some for some in self._watched if some.deadline <= now]:
                    self._watched.discard(watched)
                    _break_off(watched)
                nearest = min((some.deadline for some in self._watched), default=None)
                self._changed.wait(None if nearest is None else max(0.0, nearest - time.monotonic()))


def _break_off(watched: Watched) -> None:
    watched.broke_off = True
    with socket.socket(fileno=socket.dup(watched.descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
