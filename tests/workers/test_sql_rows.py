"""The rows of MLflow's tables as values: no database."""

from __future__ import annotations

import math
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from matih_workers.changes import Metric
from matih_workers.stores.mlflow_sql.experiments import artifact_uri
from matih_workers.stores.mlflow_sql.rows import GREATEST, MetricRow, halves, latest, metric_rows

ROWS = st.lists(
    st.builds(
        MetricRow,
        key=st.sampled_from("ab"),
        value=st.sampled_from([0.0, 1.0, -1.0, GREATEST]),
        timestamp=st.integers(1, 3),
        step=st.integers(-1, 1),
        is_nan=st.just(False),
        run_uuid=st.sampled_from("rs"),
    ),
    max_size=12,
)


def test_nan_and_infinities_stand_as_mlflow_writes_them() -> None:
    metrics = [Metric("a", value, 5, 7) for value in (1.5, math.nan, math.inf, -math.inf)]
    assert metric_rows("r", metrics) == [
        ("a", 1.5, 5, 7, False, "r"),
        ("a", 0.0, 5, 7, True, "r"),
        ("a", GREATEST, 5, 7, False, "r"),
        ("a", -GREATEST, 5, 7, False, "r"),
    ]


def test_the_latest_is_the_greatest_by_step_then_time_then_value() -> None:
    rows = [MetricRow("a", value, time, step, False, "r") for value, time, step in ((9, 9, 0), (1, 2, 1), (2, 2, 1))]
    for order in permutations(rows):
        assert latest(order) == [rows[2]]


@given(ROWS, ROWS)
def test_the_latest_of_two_batches_is_that_of_both_together(first: list[MetricRow], second: list[MetricRow]) -> None:
    assert latest([*latest(first), *latest(second)]) == latest([*first, *second])


@given(st.lists(ROWS, max_size=5), st.integers(0, 20))
def test_two_halves_hold_every_row_once_and_one_place_never_stands_in_both(
    groups: list[list[MetricRow]], fixed: int
) -> None:
    # As the store makes them: each run has one group.
    parted = [[row._replace(run_uuid=str(number)) for row in group] for number, group in enumerate(groups)]
    first, second = halves(fixed, parted)
    assert sorted(first + second) == sorted(row for group in parted for row in group)
    assert not set(first) & set(second)
    largest = max((len(group) for group in parted), default=0)
    assert len(second) <= max(len(first) + fixed + largest, largest)


def test_an_artifact_location_with_a_query_keeps_it_at_its_end() -> None:
    assert artifact_uri("mlflow-artifacts:/7", "r") == "mlflow-artifacts:/7/r/artifacts"
    assert artifact_uri("s3://bucket/a/", "r") == "s3://bucket/a/r/artifacts"
    assert artifact_uri("/data/0", "r") == "/data/0/r/artifacts"
    assert artifact_uri("dbfs://x/y?token=1", "r") == "dbfs://x/y/r/artifacts?token=1"
