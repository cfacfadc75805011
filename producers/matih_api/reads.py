"""Reads of MLflow for requests: in threads, and refused at once while MLflow is known to be away."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from matih_api.problems import Problem, unavailable
from matih_tracking.reading.errors import NotReadable, ReadsUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_tracking.reading.protocol import RunReader

THREADS: Final = 16
REFUSE_SECONDS: Final = 1.0
"""After an outage was seen nobody else waits for it for so long."""

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class Reads:
    """A reader for an event loop."""

    def __init__(self, reader: RunReader) -> None:
        self.reader = reader
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="read")
        self._refuse_until = 0.0
        self._outage = ""

    async def call(
        self, method: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """What the reader's method answers.

        Raises:
            Problem: 503, MLflow can't be asked now; 501, it can't be asked that.
        """
        if time.monotonic() < self._refuse_until:
            raise backend_unavailable(self._outage)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: method(*args, **kwargs))
        except ReadsUnavailable as error:
            self._outage = str(error)
            self._refuse_until = time.monotonic() + REFUSE_SECONDS
            raise backend_unavailable(self._outage) from error
        except NotReadable as error:
            raise Problem(501, "not-readable", str(error)) from error

    def close(self) -> None:
        """Closes the reader's connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.reader.close()


def backend_unavailable(why: str) -> Problem:
    """503: MLflow can't be read now; writes go on."""
    return unavailable("tracking-backend-unavailable", f"MLflow can't be read now: {why}; writes are taken", 5)


def is_outage(problem: Problem) -> bool:
    """Whether MLflow is away: a write is judged by what the API itself knows then."""
    return problem.kind == "tracking-backend-unavailable"
