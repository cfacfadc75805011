"""The rows of MLflow's tables as values: no database."""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from matih_workers.changes import Metric
from matih_workers.stores.mlflow_sql.experiments import artifact_uri
from matih_workers.stores.mlflow_sql.rows import (
    GREATEST,
    RunPoints,
    blocks,
    copy_text,
    halves,
    latest,
    metric_rows,
    run_points,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

METRICS = st.lists(
    st.builds(
        Metric,
        key=st.sampled_from("ab"),
        value=st.sampled_from([0.0, 1.0, -1.0, GREATEST, math.inf, math.nan]),
        timestamp=st.integers(1, 3),
        step=st.integers(-1, 1),
    ),
    max_size=12,
)
RUNS = st.lists(METRICS, max_size=5).map(
    lambda runs: [RunPoints(str(number), metrics) for number, metrics in enumerate(runs)]
)


def flat(points: Iterable[RunPoints]) -> list[tuple[str, Metric]]:
    return [(run_uuid, metric) for run_uuid, metrics in points for metric in metrics]


def test_nan_and_infinities_stand_as_mlflow_writes_them() -> None:
    points = RunPoints("r", [Metric("a", value, 5, 7) for value in (1.5, math.nan, math.inf, -math.inf)])
    assert list(metric_rows([points])) == [
        ("a", 1.5, 5, 7, False, "r"),
        ("a", 0.0, 5, 7, True, "r"),
        ("a", GREATEST, 5, 7, False, "r"),
        ("a", -GREATEST, 5, 7, False, "r"),
    ]


@given(METRICS)
def test_the_text_for_copy_says_what_the_rows_say(metrics: list[Metric]) -> None:
    points = RunPoints("r", metrics)
    told = [line.split("\t") for line in copy_text(points).splitlines()]
    rows = [
        [key, repr(value), str(time), str(step), "ft"[is_nan], run]
        for key, value, time, step, is_nan, run in metric_rows([points])
    ]
    assert told == rows


@given(METRICS)
def test_no_two_points_come_to_the_same_row(metrics: list[Metric]) -> None:
    merged = list(dict.fromkeys(metrics))
    rows = list(metric_rows([run_points("r", merged)]))
    assert len(set(rows)) == len(rows)
    assert set(rows) == set(metric_rows([RunPoints("r", merged)]))


def test_the_latest_is_the_greatest_by_step_then_time_then_value() -> None:
    metrics = [Metric("a", value, time, step) for value, time, step in ((9, 9, 0), (1, 2, 1), (2, 2, 1))]
    for order in permutations(metrics):
        assert latest(RunPoints("r", order)) == [metrics[2]]
    nan, below = Metric("a", math.nan, 2, 1), Metric("a", -1.0, 2, 1)
    assert latest(RunPoints("r", [below, nan])) == latest(RunPoints("r", [nan, below])) == [nan], "NaN counts as 0"


@given(METRICS, METRICS)
def test_the_latest_of_two_batches_is_that_of_both_together(first: list[Metric], second: list[Metric]) -> None:
    parts = [*latest(RunPoints("r", first)), *latest(RunPoints("r", second))]
    assert latest(RunPoints("r", parts)) == latest(RunPoints("r", first + second))


@given(RUNS, st.integers(0, 40))
def test_two_halves_hold_every_point_once_and_are_even(points: list[RunPoints], fixed: int) -> None:
    first, second = halves(fixed, points)
    assert sorted(map(repr, flat(first + second))) == sorted(map(repr, flat(points)))
    assert not first or len(flat(first)) + fixed - len(flat(second)) in (0, 1)
    assert len({some.run_uuid for some in first} & {some.run_uuid for some in second}) <= 1


@given(RUNS, st.integers(1, 5))
def test_blocks_hold_every_point_in_order(points: list[RunPoints], size: int) -> None:
    pieces = list(blocks(points, size))
    assert flat(pieces) == flat(points)
    assert all(0 < len(piece.metrics) <= size for piece in pieces)


def test_an_artifact_location_with_a_query_keeps_it_at_its_end() -> None:
    assert artifact_uri("mlflow-artifacts:/7", "r") == "mlflow-artifacts:/7/r/artifacts"
    assert artifact_uri("s3://bucket/a/", "r") == "s3://bucket/a/r/artifacts"
    assert artifact_uri("/data/0", "r") == "/data/0/r/artifacts"
    assert artifact_uri("dbfs://x/y?token=1", "r") == "dbfs://x/y/r/artifacts?token=1"
