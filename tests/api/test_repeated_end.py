"""How long a run took, when its end is sent again: by the end that was taken, not by now."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from matih_api import runs
from matih_api.events import Author, Numbers
from matih_api.pending.keys import RequestKey
from matih_api.pending.pendings import RunFacts
from matih_api.problems import Problem
from matih_api.reads import backend_unavailable
from matih_schemas.events import RunEnded, TrackingEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = 1_700_000_000_000
RUN = RunFacts("0" * 32, "acme", "e", deleted=False, attempt=None, start_time=T)
KEY = RequestKey.of("acme", "once", b"end")


class Asked:
    """A request that comes at `now`; what the API has of the end that was taken before."""

    def __init__(self, now: int, *, pending: list[TrackingEvent], stored: Any) -> None:
        self._now = now
        self._stored = stored
        self.published: list[TrackingEvent] = []
        objects = SimpleNamespace(run_for_write=self._facts, run=self._run, pending_again=lambda _run, _events: pending)
        writes = SimpleNamespace(once=self._once, publish=self._publish)
        self.services = SimpleNamespace(objects=objects, writes=writes, numbers=Numbers())
        self.tenants = {"acme"}
        self.taken = bool(pending or stored)

    def may(self, *_: Any) -> None: ...

    async def author(self, tenant: str) -> Author:
        return Author(tenant, None, KEY, self._now)

    async def _facts(self, *_: Any) -> RunFacts:
        return RUN

    async def _run(self, *_: Any) -> Any:
        if isinstance(self._stored, Exception):
            raise self._stored
        return self._stored

    @asynccontextmanager
    async def _once(self, _author: Author) -> AsyncIterator[bool]:
        yield not self.taken

    async def _publish(self, _author: Author, events: list[TrackingEvent]) -> None:
        self.published += events


def end(asked: Asked) -> float | None:
    _, seconds = asyncio.run(runs.end(asked, RUN.run_id, "FINISHED"))  # type: ignore[arg-type]
    return seconds


def test_a_repeated_end_tells_the_duration_of_the_first() -> None:
    first = Asked(T + 1_500, pending=[], stored=None)
    assert end(first) == 1.5
    (event,) = first.published
    assert isinstance(event.payload, RunEnded)
    again = Asked(T + 9_000, pending=[event], stored=None)
    assert end(again) == 1.5
    applied = Asked(T + 9_000, pending=[], stored=SimpleNamespace(end_time=T + 1_500))
    assert end(applied) == 1.5
    assert again.published == applied.published == []


def test_a_repeated_end_whose_first_can_not_be_read_tells_none() -> None:
    assert end(Asked(T + 9_000, pending=[], stored=backend_unavailable("away"))) is None
    with pytest.raises(Problem):
        end(Asked(T + 9_000, pending=[], stored=Problem(503, "event-log-unavailable", "away")))
