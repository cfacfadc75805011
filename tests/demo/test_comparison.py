"""The demo's count: it must see every kind of difference, or it proves nothing."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_local.demo.comparison import Comparison, InMlflow, compare
from matih_local.demo.ledger import Ledger, LedgerTail, Logged, Point, percentile

if TYPE_CHECKING:
    from pathlib import Path

POINTS = [Point("loss", 0.5, 0, 1000), Point("loss", 0.25, 1, 2000), Point("accuracy", 0.5, 1, 2000)]


def logged(**changes: object) -> Logged:
    return Logged(**{"run_id": "a", "name": "one", "points": list(POINTS), "params": {"lr": "0.1"}, **changes})


def in_mlflow(**changes: object) -> InMlflow:
    fields = {"run_id": "a", "name": "one", "status": "FINISHED", "points": list(POINTS), "params": {"lr": "0.1"}}
    return InMlflow(**{**fields, **changes})


def count(ledgers: list[Logged], runs: list[InMlflow]) -> Comparison:
    return compare(ledgers, runs, {"one": "FINISHED"})


def test_equal_holds() -> None:
    result = count([logged()], [in_mlflow()])
    assert result.holds
    assert (result.logged, result.in_mlflow, result.points_lost, result.points_duplicated) == (3, 3, 0, 0)


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_point_is_lost(missing: int) -> None:
    points = POINTS[:missing] + POINTS[missing + 1 :]
    result = count([logged()], [in_mlflow(points=points)])
    assert (result.points_lost, result.lost, result.holds) == (1, {"one": [POINTS[missing]]}, False)


@pytest.mark.parametrize("change", [{"value": 0.75}, {"step": 7}, {"timestamp": 7}, {"key": "x"}], ids=str)
def test_a_changed_point_is_lost_and_one_nobody_logged(change: dict[str, object]) -> None:
    result = count([logged()], [in_mlflow(points=[POINTS[0]._replace(**change), *POINTS[1:]])])
    assert (result.points_lost, result.points_duplicated, result.holds) == (1, 1, False)


def test_a_point_twice_is_duplicated() -> None:
    result = count([logged()], [in_mlflow(points=[*POINTS, POINTS[0]])])
    assert (result.points_lost, result.points_duplicated, result.holds) == (0, 1, False)


def test_a_run_twice_is_duplicated() -> None:
    result = count([logged()], [in_mlflow(), in_mlflow(points=[])])
    assert (result.runs_twice, result.points_duplicated, result.holds) == (["one"], 1, False)


def test_a_run_nobody_logged_is_duplicated() -> None:
    result = count([logged()], [in_mlflow(), in_mlflow(run_id="b", name="stranger", points=[])])
    assert (result.runs_twice, result.holds) == (["stranger"], False)


def test_a_missing_run_is_lost() -> None:
    result = count([logged()], [])
    assert (result.runs_lost, result.points_lost, result.holds) == (["one"], 3, False)


@pytest.mark.parametrize("params", [{}, {"lr": "0.2"}], ids=str)
def test_a_missing_or_other_param_is_lost(params: dict[str, str]) -> None:
    result = count([logged()], [in_mlflow(params=params)])
    assert (result.points_lost, result.holds) == (1, False)
    assert "'lr'" in result.wrong_values[0]


@pytest.mark.parametrize("runs", [[in_mlflow(status="RUNNING")], []], ids=["other", "missing"])
def test_a_wrong_status_is_told(runs: list[InMlflow]) -> None:
    result = count([logged(points=[])], copy.deepcopy(runs))
    assert set(result.wrong_statuses) == {"one"}
    assert not result.holds


def test_the_call_in_which_a_process_was_killed_may_have_arrived_or_not() -> None:
    ledger = logged(points=POINTS[:1], perhaps=POINTS[1:])
    for arrived in (POINTS, POINTS[:1], POINTS[:2]):
        assert count([ledger], [in_mlflow(points=list(arrived))]).holds
    assert not count([ledger], [in_mlflow(points=[*POINTS, POINTS[2]])]).holds


def test_ranks_of_one_run_are_counted_together() -> None:
    assert count([logged(points=POINTS[:1]), logged(points=POINTS[1:])], [in_mlflow()]).holds


def test_a_ledger_is_read_as_it_grows(tmp_path: Path) -> None:
    ledger, tail = Ledger(tmp_path / "a"), LedgerTail(tmp_path / "a")
    ledger.run("a", "one")
    ledger.params({"lr": "0.1"})
    ledger.before({"loss": 0.5}, 0, 1000)
    assert (tail.read().points, tail.read().perhaps) == ([], POINTS[:1])
    ledger.after(1500)
    ledger.tags({"k": "v"})
    assert tail.read() == Logged("a", "one", POINTS[:1], [], {"lr": "0.1"}, {"k": "v"}, [1500], entries=4)


def test_a_torn_last_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    tail = LedgerTail(path)
    assert tail.read() == Logged()
    path.write_bytes(b'["run", "a", "on')
    assert tail.read() == Logged()
    with path.open("ab") as file:
        file.write(b'e"]\n')
    assert tail.read() == Logged("a", "one", entries=1)


@given(st.lists(st.integers(), min_size=1), st.floats(0, 1))
def test_percentile_is_one_of_the_values(values: list[int], share: float) -> None:
    assert percentile(values, share) in values
    assert percentile(values, 1) == max(values)
