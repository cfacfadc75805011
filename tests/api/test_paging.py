"""Pages over what MLflow has and what is on its way there: everything once, whatever is pending."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matih_api import listing
from matih_api.merging import Listed, merged, moves, window
from matih_api.pending.overlay import Overlay, Pending, pending
from matih_schemas import codec, events
from matih_schemas.events import EntryGroup, TrackingEvent
from matih_tracking.reading.queries import ExperimentQuery, RunQuery, SortKey
from matih_tracking.reading.views import ExperimentView, MetricPoint, Page, RunView

T = 1_700_000_000_000
SORTS = [
    SortKey(),
    SortKey(descending=False),
    SortKey("metric", "m"),
    SortKey("metric", "m", descending=False),
    SortKey("attribute", "duration"),
]
RUNS = st.builds(
    lambda start, value, end, stage, status: RunView(
        "", "", "acme", "e", "1", "r", status, T + start, None if end is None else T + start + end, stage, "",
        metrics={} if value is None else {"m": MetricPoint("m", value, T, 0)},
    ),
    st.integers(0, 3),
    st.sampled_from([None, math.nan, -math.inf, 0.5, 1.5]),
    st.sampled_from([None, 0, 5]),
    st.sampled_from(["active", "active", "deleted"]),
    st.sampled_from(["RUNNING", "RUNNING", "FINISHED"]),
)  # fmt: skip
CHANGES = st.tuples(st.none() | RUNS, st.none() | RUNS)
"""A run as MLflow has it, and what events make of it."""


def page(
    stored: dict[str, Any], now: dict[str, Any], changed: list[Any], listed: Listed[Any], offset: int, limit: int
) -> Page[Any]:
    """As the API makes it, with these as MLflow's."""
    there = listed.ordered([one for one in stored.values() if listed.fits(one)])
    start, rows = window(offset, limit, moves(changed, listed))
    read = Page(there[start : start + rows], len(there))
    return merged(read, start, changed, lambda one: now[listed.identity(one)], listed, offset, limit)


def expect_whole(stored: dict[str, Any], now: dict[str, Any], listed: Listed[Any], limit: int) -> None:
    changed = [(stored.get(key), one) for key, one in now.items() if stored.get(key) is not one]
    whole = listed.ordered([one for one in now.values() if listed.fits(one)])
    for offset in range(0, len(whole) + 2 * limit, limit):
        found = page(stored, now, changed, listed, offset, limit)
        assert found.items == whole[offset : offset + limit]
        assert found.total == len(whole)


@settings(max_examples=400)
@given(st.lists(CHANGES, max_size=14), st.sampled_from(SORTS), st.none() | st.just("RUNNING"), st.integers(1, 5))
def test_the_pages_of_runs_are_all_of_them_each_once_in_order(
    some: list[Any], sort: SortKey, status: str | None, limit: int
) -> None:
    named = [tuple(one and replace(one, run_id=f"{number:02d}") for one in both) for number, both in enumerate(some)]
    stored = {was.run_id: was for was, _ in named if was is not None}
    now = stored | {made.run_id: made for _, made in named if made is not None}
    expect_whole(stored, now, listing.runs_listed(RunQuery(status=status, sort=sort)), limit)


EXPERIMENTS = st.tuples(st.booleans(), st.integers(0, 2), st.sampled_from([None, "name", "stage"]))


@given(st.lists(EXPERIMENTS, max_size=12), st.sampled_from(["", "chu"]), st.integers(1, 4))
def test_the_pages_of_experiments_are_all_of_them_each_once_in_order(some: list[Any], search: str, limit: int) -> None:
    stored, now = {}, {}
    for number, (is_stored, created, change) in enumerate(some):
        mlflow_id, key = (str(number) if is_stored else ""), f"{number:02d}"
        one = ExperimentView(key, mlflow_id, "acme", "churn", "", "active", T + created, T)
        if is_stored:
            stored[key] = one
        changes: dict[str, Any] = {"name": {"name": "other"}, "stage": {"stage": "deleted"}}.get(change, {})
        now[key] = replace(one, **changes) if changes else one
    expect_whole(stored, now, listing.experiments_listed(ExperimentQuery(search)), limit)


def test_what_is_applied_between_two_looks_is_shown_once() -> None:
    run = RunView("a", "a", "acme", "e", "", "r", "RUNNING", T, None, "active", "")
    applied = replace(run, mlflow_experiment_id="1")
    found = merged(Page([applied], 1), 0, [(None, run)], lambda one: one, listing.runs_listed(RunQuery()), 0, 5)
    assert found == Page([applied], 1)


class Applying:
    """MLflow, with a worker that applies all that is pending after so many reads; the API's view of both."""

    def __init__(self, stored: list[RunView], now: list[RunView], applied_before: int) -> None:
        self.stored, self.now = ({run.run_id: run for run in some} for some in (stored, now))
        self.reads_left = applied_before

    def look(self) -> None:
        if self.reads_left == 0:
            self.stored = dict(self.now)
        self.reads_left -= 1

    async def changed(self) -> list[tuple[RunView | None, RunView]]:
        self.look()
        return [(self.stored.get(key), one) for key, one in self.now.items()]

    async def read(self, query: RunQuery) -> Page[RunView]:
        self.look()
        listed = listing.runs_listed(query)
        there = listed.ordered([one for one in self.stored.values() if listed.fits(one)])
        return Page(there[query.offset : query.offset + query.limit], len(there))

    def page(self, query: RunQuery) -> Page[RunView]:
        paged = listing.page(
            listing.runs_listed(query), query, self.changed, self.read, lambda one: self.now[one.run_id]
        )
        return asyncio.run(paged)


@pytest.mark.parametrize("applied_before", range(6))
@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_list_is_of_one_moment_whenever_the_worker_applies(applied_before: int, offset: int) -> None:
    """One run is deleted, one is made, one ends, one stays."""
    gone, new, ended, stays = (
        RunView(key, key, "acme", "e", "1", "r", "RUNNING", T + number, None, "active", "")
        for number, key in enumerate("abcd")
    )
    now = [replace(gone, stage="deleted"), new, replace(ended, status="FINISHED", end_time=T + 9), stays]
    for query in (RunQuery(limit=2, offset=offset), RunQuery(limit=2, offset=offset, status="RUNNING")):
        listed = listing.runs_listed(query)
        whole = listed.ordered([one for one in now if listed.fits(one)])
        found = Applying([gone, ended, stays], now, applied_before).page(query)
        assert found == Page(whole[offset : offset + 2], len(whole))


def record(partition: int, occurred_at: int, payload: events.Payload) -> Pending:
    one = TrackingEvent(f"00000000-0000-4000-8000-{occurred_at:012d}", "acme", T + occurred_at, payload)
    kind = type(payload).__name__
    made = pending(
        partition, occurred_at, codec.event_key(one), codec.encode(one), kind, ours=True, time=T + occurred_at
    )
    assert made is not None
    return made


def test_what_is_pending_is_told_by_time_and_not_by_partition() -> None:
    overlay = Overlay(1 << 20)
    for number in (4, 1, 3, 0, 2):
        overlay.put(record(number % 2, number, events.RunDeleted(f"{number:032d}")))
    overlay.put(record(0, 9, events.RunRestored("0" * 32)))
    assert [int(run) for run in overlay.runs({"acme"})] == [1, 2, 3, 4, 0]
    points = EntryGroup("a" * 32, 0, shapes=[["m"]], shape=[0], value=[1.0], time=[T], step=[0])
    overlay.put(record(1, 10, events.RunLogged(f"{3:032d}", [points])))
    overlay.put(record(1, 11, events.RunLogged(f"{7:032d}", [points])))
    assert [int(run) for run in overlay.runs({"acme"})] == [1, 2, 3, 4, 0]
    assert [int(run) for run in overlay.runs({"acme"}, logged=True)] == [1, 2, 4, 0, 3, 7]
    overlay.done[1] = 11
    assert [int(run) for run in overlay.runs({"acme"}, logged=True)] == [1, 2, 3, 4, 0, 7]


@pytest.mark.parametrize("descending", [True, False])
def test_a_metric_that_is_on_its_way_moves_its_run_in_the_order(descending: bool) -> None:
    def run(key: str, value: float) -> RunView:
        return RunView(
            key, key, "acme", "e", "1", key, "RUNNING", T, None, "active", "",
            metrics={"m": MetricPoint("m", value, T, 0)},
        )  # fmt: skip

    stored = {key: run(key, value) for key, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
    listed = listing.runs_listed(RunQuery(sort=SortKey("metric", "m", descending)))
    for value in (0.5, 2.5, 3.5):
        expect_whole(stored, stored | {"a": run("a", value)}, listed, 1)
