"""What the SDK reads from a real MLflow, and what it says when that is down."""

from __future__ import annotations

import importlib.util
import math
import socket
import time

import pytest

import matih_tracking
from matih_schemas.identity import new_run_id, run_id_from
from matih_tracking import (
    ExperimentNotFound,
    ExperimentTracker,
    NotReadable,
    NotSupported,
    ReadsUnavailable,
    RunConfig,
    RunExists,
    RunNotFound,
)

T0 = 1_700_000_000_000


@pytest.fixture
def tracker(seed, mlflow_url, tmp_path, monkeypatch):
    """A tracker of the seed's tenant that delivers nothing."""
    variables = {"SPOOL_DIR": str(tmp_path), "MODE": "offline", "QUIET": "1", "TENANT": seed.tenant}
    for name, value in variables.items():
        monkeypatch.setenv(f"MATIH_{name}", value)
    return ExperimentTracker(mlflow_url)


def down(tracker_uri):
    return ExperimentTracker(tracker_uri)


def test_a_history_is_all_of_it_in_order(tracker, seed):
    run = seed.run(seed.experiment("e"), T0)
    (mlflow_id,) = (found.info.run_id for found in seed.client.search_runs([seed.client.search_experiments(
        filter_string=f"name = '{seed.tenant}/e'")[0].experiment_id]))  # fmt: skip
    seed.log(mlflow_id, "loss", [(3.0, T0 + 9, 1), (math.nan, T0 + 3, 2), (1.0, T0 + 4, 1), (math.inf, T0, 0)])
    history = tracker.get_metric_history(run, "loss")
    wanted = [(math.inf, T0, 0), (1.0, T0 + 4, 1), (3.0, T0 + 9, 1), (math.nan, T0 + 3, 2)]
    assert repr(history) == repr(
        [{"key": "loss", "value": value, "timestamp": at, "step": step} for value, at, step in wanted]
    )
    assert tracker.get_metric_history(run, "none") == []
    seed.log(mlflow_id, "long", [(float(i), T0 + i, i) for i in range(300)])
    thin = tracker.get_metric_history(run, "long", max_points=10)
    assert len(thin) <= 10
    assert [thin[0]["step"], thin[-1]["step"]] == [0, 299]
    with pytest.raises(RunNotFound, match="a" * 32):
        tracker.get_metric_history("a" * 32, "loss")


def test_search_is_mlflows_and_the_tenants(tracker, seed):
    experiment = seed.experiment("e")
    runs = [seed.run(experiment, T0 + i, metrics={"m": i}) for i in range(3)]
    seed.run(seed.experiment("e", tenant="x" + seed.tenant), T0, tenant="x" + seed.tenant, metrics={"m": 9})
    found = tracker.search_runs("metrics.m >= 1", order_by=["metrics.m ASC"])
    assert [run.run_id for run in found] == runs[1:]
    assert [run.run_id for run in tracker.search_runs(max_results=1)] == [runs[2]]
    assert tracker.search_runs(experiment_names=["none"]) == []
    assert len(tracker.search_runs(experiment_names=["e", "none"])) == 3
    with pytest.raises(NotReadable, match="refuses"):
        tracker.search_runs("no filter")


def test_runs_are_compared(tracker, seed):
    experiment = seed.experiment("e")
    a = seed.run(experiment, T0, "first", end=("FINISHED", T0 + 1), metrics={"f1": 0.5, "x": 1.0}, params={"lr": "1"})
    b = seed.run(experiment, T0, "second", metrics={"f1": math.nan}, params={"lr": "2", "seed": "7"})
    both = tracker.compare_runs([b, a])
    assert both.to_dict() == {"metrics": ["f1", "x"], "params": ["lr", "seed"], "runs": both.rows}
    assert [(row["run_id"], row["name"], row["status"]) for row in both.rows] == [
        (b, "second", "RUNNING"),
        (a, "first", "FINISHED"),
    ]
    assert [row["params"] for row in both.rows] == [{"lr": "2", "seed": "7"}, {"lr": "1", "seed": None}]
    assert both.rows[1]["metrics"] == {"f1": 0.5, "x": 1.0}
    assert both.rows[0]["metrics"]["x"] is None
    assert math.isnan(both.rows[0]["metrics"]["f1"])
    header, first, second = repr(both).splitlines()
    assert header.split() == ["run_id", "name", "status", "f1", "x", "lr", "seed"]
    assert first.split() == [b, "second", "RUNNING", "nan", "-", "2", "7"]
    assert second.split() == [a, "first", "FINISHED", "0.5", "1", "1", "-"]
    some = tracker.compare_runs([a], metrics=["x", "none"], params=[])
    assert (some.metrics, some.params) == (["x"], [])
    with pytest.raises(RunNotFound) as raised:
        tracker.compare_runs([a, "c" * 32, "d" * 32])
    assert "c" * 32 in str(raised.value)
    assert "d" * 32 in str(raised.value)


def test_a_frame_has_mlflows_columns(tracker, seed, monkeypatch):
    import pandas as pd

    experiment = seed.experiment("e")
    a = seed.run(experiment, T0, "a", end=("FINISHED", T0 + 500), metrics={"m": 0.5}, params={"p": "1"})
    b = seed.run(experiment, T0 + 1, "b", stored={"mine": "x"})
    frame = tracker.to_dataframe("e")
    assert list(frame["run_id"]) == [b, a]
    assert set(frame.columns) >= {
        "run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time", "metrics.m", "params.p",
        "tags.mine", "tags.mlflow.runName",
    }  # fmt: skip
    assert list(frame["status"]) == ["RUNNING", "FINISHED"]
    assert frame["start_time"][1] == pd.Timestamp(T0, unit="ms", tz="UTC")
    assert pd.isna(frame["end_time"][0])
    assert frame["end_time"][1] == pd.Timestamp(T0 + 500, unit="ms", tz="UTC")
    assert math.isnan(frame["metrics.m"][0])
    assert frame["metrics.m"][1] == 0.5
    assert list(frame["params.p"]) == [None, "1"]
    assert list(tracker.to_dataframe([a, tracker.search_runs()[0]])["run_id"]) == [a, b]
    assert len(tracker.to_dataframe([])) == 0
    with pytest.raises(ExperimentNotFound, match="'none'"):
        tracker.to_dataframe("none")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotReadable, match="pip install pandas"):
        tracker.to_dataframe("e")


def test_a_run_that_must_be_there_or_never(tracker, seed):
    run = seed.run(seed.experiment("e"), T0)
    with tracker.start_run("e", RunConfig(run_id=run), resume="must") as going_on:
        assert going_on.run_id == run
    with tracker.start_run("e", RunConfig(run_id=new_run_id()), resume="never"):
        pass
    with pytest.raises(RunExists, match=run):
        tracker.start_run("e", RunConfig(run_id=run), resume="never")
    with pytest.raises(RunNotFound, match="is not in MLflow"):
        tracker.start_run("e", RunConfig(run_id="mine"), resume="must")
    with pytest.raises(RunNotFound, match=r"RunConfig\.run_id"):
        tracker.start_run("e", resume="must")
    with pytest.raises(NotSupported, match="allow, must, never"):
        tracker.start_run("e", resume="maybe")
    found = seed.client.search_runs([seed.client.get_experiment_by_name(f"{seed.tenant}/e").experiment_id])
    seed.client.delete_run(found[0].info.run_id)
    with pytest.raises(RunNotFound, match="deleted"):
        tracker.start_run("e", RunConfig(run_id=run), resume="must")
    with pytest.raises(RunExists):
        tracker.start_run("e", RunConfig(run_id=run), resume="never")


def test_a_run_id_of_the_environment_is_used_up_only_by_a_run_that_starts(tracker, seed, monkeypatch):
    monkeypatch.setenv("MATIH_RUN_ID", "job 7")
    wanted = run_id_from("job 7", seed.tenant)
    with pytest.raises(RunNotFound, match=wanted):
        tracker.start_run("e", resume="must")
    with tracker.start_run("e") as run:
        assert run.run_id == wanted
    with tracker.start_run("e") as other:
        assert other.run_id != wanted


def test_only_the_owner_looks(tracker, monkeypatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "j", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    with down("http://127.0.0.1:9").start_run("e", RunConfig(run_id=new_run_id()), resume="never") as run:
        assert not run.owner


def reads(tracker):
    return {
        "history": lambda: tracker.get_metric_history("a" * 32, "m"),
        "search": lambda: tracker.search_runs(),
        "compare": lambda: tracker.compare_runs(["a" * 32]),
        "frame": lambda: tracker.to_dataframe("e"),
        "must": lambda: tracker.start_run("e", RunConfig(run_id="a" * 32), resume="must"),
        "never": lambda: tracker.start_run("e", RunConfig(run_id="a" * 32), resume="never"),
    }


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """No MLflow, and nothing is delivered."""
    for name, value in {"SPOOL_DIR": str(tmp_path), "MODE": "offline", "QUIET": "1"}.items():
        monkeypatch.setenv(f"MATIH_{name}", value)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", ["history", "search", "compare", "frame", "must", "never"])
def test_mlflow_down_is_told_and_the_tracker_goes_on(name):
    tracker = down("http://127.0.0.1:9")
    with pytest.raises(ReadsUnavailable, match=r"127\.0\.0\.1:9 can't be reached"):
        reads(tracker)[name]()
    with tracker.start_run("e") as run:
        run.log_metrics({"m": 1.0})
    assert run.status().entries > 0


@pytest.mark.usefixtures("alone")
def test_a_server_that_hangs_is_given_up_within_five_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(ReadsUnavailable, match="did not answer within 5 s"):
            down(f"http://127.0.0.1:{silent.getsockname()[1]}").get_metric_history("a" * 32, "m")
        assert 5 <= time.monotonic() - start < 60


@pytest.mark.usefixtures("alone")
def test_a_disabled_tracker_looks_nowhere(monkeypatch):
    monkeypatch.setenv("MATIH_MODE", "disabled")
    with down("http://127.0.0.1:9").start_run("e", RunConfig(run_id="a" * 32), resume="must"):
        pass


def test_the_errors_are_public():
    for name in ("RunNotFound", "RunExists", "ExperimentNotFound", "ReadsUnavailable", "NotReadable", "Comparison"):
        assert name in matih_tracking.__all__
        assert getattr(matih_tracking, name) is getattr(matih_tracking.experiment_tracker, name)
