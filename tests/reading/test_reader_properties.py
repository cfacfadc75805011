"""Thinning and sorting, compared with plain definitions of them in Python, for every reader."""

from __future__ import annotations

import math
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reading.conftest import producer
from tests.workers.journals import START, Entry

from matih_tracking.reading.queries import RunQuery, SortKey
from matih_tracking.reading.views import MetricPoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.reading.conftest import Place

    from matih_tracking.reading.views import RunView

quick = partial(settings, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = st.floats(-5, 5, width=16).map(lambda value: value + 0.0)  # SQLite keeps no -0.0
VALUES = st.sampled_from([0.0, 1.0, -1.0, 1e308, math.nan, math.inf, -math.inf]) | NUMBERS
POINT = st.tuples(st.integers(-3, 40), st.integers(0, 3), VALUES)
POINTS = st.lists(POINT, min_size=1, max_size=9) | st.lists(POINT, min_size=15, max_size=60)
TEXTS = st.sampled_from(["", "a", "A", "b", "10", "9", "é", "z", "~", "ab"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"time": st.integers(0, 3), "name": TEXTS, "metric": st.none() | VALUES, "text": st.none() | TEXTS}
        | {"ends": st.sampled_from([None, "FINISHED", "FAILED", "KILLED"]), "lasts": st.integers(0, 4)}
    ),
    min_size=1,
    max_size=14,
)


def thinned(points: list[MetricPoint], most: int) -> list[MetricPoint]:
    """The first, the last, and of each of as many buckets as there is room for the first least and first greatest."""
    if len(points) <= most:
        return points
    middle, buckets = points[1:-1], (most - 2) // 2
    kept = {0, len(points) - 1}
    for bucket in range(buckets):
        places = [at for at in range(len(middle)) if at * buckets // len(middle) == bucket]
        numbers = [at for at in places if not math.isnan(middle[at].value)]
        if numbers:
            kept |= {choose(numbers, key=lambda at: middle[at].value) + 1 for choose in (min, max)}
        else:
            kept |= {at + 1 for at in places[:1]}
    return [points[at] for at in sorted(kept)]


def in_order(point: MetricPoint) -> tuple[Any, ...]:
    nan = math.isnan(point.value)
    return point.step, point.timestamp, 0.0 if nan else point.value, nan


@pytest.mark.parametrize("place", ["sql-sqlite", "sql-postgres"], indirect=True, scope="session")
@given(points=POINTS, most=st.integers(4, 14))
@quick(max_examples=30)
def test_a_history_is_thinned_as_defined(place: Place, tenant: str, points: list[Any], most: int) -> None:
    who = producer(f"{tenant}{secrets.token_hex(3)}")
    place.apply(
        who.created(), who.log(*(Entry({"m": value}, step=step, time=START + time) for step, time, value in points))
    )
    run = place.run(who.run_id)
    there = {
        repr(point): point for point in (MetricPoint("m", value, START + time, step) for step, time, value in points)
    }
    whole = sorted(there.values(), key=in_order)
    history = place.reader.history(run, "m", most)
    assert repr(place.reader.history(run, "m").points) == repr(whole)
    assert history.total == len(whole)
    assert len(history.points) <= most
    assert repr(history.points) == repr(thinned(whole, most))


def test_a_long_history_keeps_its_extremes(place: Place, tenant: str) -> None:
    who = producer(tenant)
    values = [math.sin(step / 7) for step in range(3000)]
    values[1234], values[2345] = 50.0, -50.0
    entries = [Entry({"m": value}, step=step, time=START + step) for step, value in enumerate(values)]
    place.apply(who.created(), *(who.log(*entries[first : first + 1000]) for first in range(0, 3000, 1000)))
    run = place.run(who.run_id)
    for most in (4, 5, 100, 999, 2999, 3000, 5000):
        history = place.reader.history(run, "m", most)
        assert (history.total, len(history.points) <= most) == (3000, True)
        assert {point.step for point in history.points} >= {0, 1234, 2345, 2999}
        assert len(history.points) > min(most, 3000) // 2
    part = place.reader.history(run, "m", 10, 1000, 1999)
    assert (part.total, part.points[0].step, part.points[-1].step) == (1000, 1000, 1999)
    assert 1234 in {point.step for point in part.points}


ORDERS: dict[tuple[str, str], Callable[[RunView], Any]] = {
    ("attribute", "start_time"): lambda run: run.start_time,
    ("attribute", "end_time"): lambda run: run.end_time,
    ("attribute", "duration"): lambda run: None if run.end_time is None else run.end_time - run.start_time,
    ("attribute", "status"): lambda run: run.status,
    ("attribute", "name"): lambda run: run.name,
    ("metric", "m"): lambda run: number(run.metrics["m"].value) if "m" in run.metrics else None,
    ("metric", "nobody's"): lambda run: None,
    ("param", "p"): lambda run: run.params.get("p"),
    ("tag", "t"): lambda run: run.tags.get("t"),
}


def number(value: float) -> float | None:
    return None if math.isnan(value) else value


def in_python(runs: list[RunView], value: Callable[[RunView], Any], descending: bool) -> list[str]:
    """Those with a value first, by it, then by start time and MLflow's run id, all in one direction."""

    def place(run: RunView) -> tuple[Any, ...]:
        return run.start_time, run.mlflow_run_id

    there = [run for run in runs if value(run) is not None]
    missing = [run for run in runs if value(run) is None]
    there.sort(key=lambda run: (value(run), *place(run)), reverse=descending)
    missing.sort(key=place, reverse=descending)
    return [run.run_id for run in there + missing]


@pytest.mark.parametrize("place", ["sql-sqlite", "sql-postgres"], indirect=True, scope="session")
@given(rows=ROWS)
@quick(max_examples=8)
def test_runs_are_sorted_as_python_sorts_them(place: Place, tenant: str, rows: list[dict[str, Any]]) -> None:
    check_sorting(place, tenant, rows)


@pytest.mark.soak
@pytest.mark.parametrize("place", ["rest"], indirect=True, scope="session")
@given(rows=ROWS)
@quick(max_examples=2)  # 36 lists each, of a server that has the session's thousands of experiments
def test_runs_are_sorted_as_python_sorts_them_over_rest(place: Place, tenant: str, rows: list[dict[str, Any]]) -> None:
    check_sorting(place, tenant, rows)


def check_sorting(place: Place, tenant: str, rows: list[dict[str, Any]]) -> None:
    tenant = f"{tenant}{secrets.token_hex(3)}"
    wanted = []
    for row in rows:
        who = producer(tenant, attempt=START + row["time"])
        metrics, params, labels = (
            {} if row[of] is None else {key: row[of]} for key, of in (("m", "metric"), ("p", "text"), ("t", "text"))
        )
        entry = Entry(metrics, params, labels)
        ends = [who.ended(row["ends"], after=row["lasts"])] if row["ends"] else []
        wanted += [who.created(run_name=row["name"]), who.log(entry), *ends]
    place.apply(*wanted)
    runs = place.reader.runs([tenant], RunQuery(limit=100)).items
    assert len(runs) == len(rows)
    for (kind, key), value in ORDERS.items():
        for descending in (False, True):
            sort = SortKey(kind, key, descending)  # type: ignore[arg-type]
            expected = in_python(runs, value, descending)
            half = len(rows) // 2
            pages = [
                place.reader.runs([tenant], RunQuery(sort=sort, limit=limit, offset=offset))
                for limit, offset in ((half, 0), (100, half))
            ]
            assert [run.run_id for page in pages for run in page.items] == expected, sort
