"""Breaks a connection off when a statement takes too long: a server that hangs obeys no time-out of its own."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

_KEY: Final = "matih.watch"


class Watch:
    """Over one transaction on a connection of psycopg's; each statement has `seconds`.

    Attributes:
        broke_off: whether it has ended the connection.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        self.broke_off = False
        self._descriptor = descriptor
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="store-watch", daemon=True)
        self._thread.start()

    def begins(self) -> None:
        """A statement begins: the time counts anew."""
        self._deadline = time.monotonic() + self._seconds

    def end(self) -> None:
        """The transaction is over; returns once the connection is safe from this watch."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(max(0.0, self._deadline - time.monotonic())):
            if time.monotonic() >= self._deadline:
                self.broke_off = True
                with socket.socket(fileno=socket.dup(self._descriptor)) as connection:
                    connection.shutdown(socket.SHUT_RDWR)
                return


@contextmanager
def watched(connection: sa.Connection, seconds: float) -> Iterator[Watch]:
    """Watches the connection's statements; `listen` has to have been called for its engine."""
    driver: Any = connection.connection.driver_connection
    watch = Watch(driver.pgconn.socket, seconds)
    connection.info[_KEY] = watch
    try:
        yield watch
    finally:
        watch.end()
        connection.info.pop(_KEY, None)


def before_statement(connection: sa.Connection, *_: object) -> None:
    """SQLAlchemy's `before_cursor_execute`: tells the connection's watch."""
    watch = connection.info.get(_KEY)
    if watch is not None:
        watch.begins()
