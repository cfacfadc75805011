"""What is logged into a run is what its journal holds, value by value."""

from __future__ import annotations

import argparse
import math
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.sdk.spools import journals, only

from matih_schemas.limits import ENTRY_MAX_BYTES, METRICS_PER_ENTRY, PARAM_VALUE_MAX
from matih_tracking import BadInput, ExperimentTracker, RunConfig, RunMetrics
from matih_tracking.fast_path import METRICS_MAX, pack
from matih_tracking.journal.entries import Metrics, Params, Tags, decode, encode
from matih_tracking.mend import mend_metrics


def test_what_is_logged_is_what_the_journal_holds(spool):
    before = time.time_ns() // 1_000_000
    with ExperimentTracker().start_run("mnist", RunConfig(run_name="first", tags={"team": "red"})) as run:
        run.log_metrics({"loss": 0.5, "acc": 0.25}, step=3)
        run.log_metrics({"loss": 0.5, "acc": 0.125}, step=4, timestamp=1_700_000_000_000)
        run.log_metric("n", 7)
        run.log_metrics(RunMetrics({"val/loss": np.float32(0.5)}, step=9, timestamp=5))
        run.log_params({"opt": {"lr": 0.1, "name": "sgd"}, "args": argparse.Namespace(seed=1)})
        run.log_param("depth", None)
        run.set_tags({"stage": "train", "n": 3})
        run.set_tag("stage", "test")
    after = time.time_ns() // 1_000_000

    journal = only(spool)
    assert journal.run_id == run.run_id
    assert (journal.created.run_name, journal.created.experiment_name) == ("first", "mnist")
    assert journal.created.experiment_id == run.experiment_id
    assert journal.created.tags["team"] == "red"
    assert (journal.created.owner, journal.created.rank, journal.created.tenant_id) == (True, None, "default")
    first, second, third, fourth = journal.of(Metrics)
    assert (first.metrics, first.step) == ({"loss": 0.5, "acc": 0.25}, 3)
    assert before <= journal.created.time <= first.time <= third.time <= after
    assert (second.metrics, second.step, second.time) == ({"loss": 0.5, "acc": 0.125}, 4, 1_700_000_000_000)
    assert (third.metrics, third.step) == ({"n": 7.0}, 0)
    assert (fourth.metrics, fourth.step, fourth.time) == ({"val/loss": 0.5}, 9, 5)
    assert journal.params == [("opt.lr", "0.1"), ("opt.name", "sgd"), ("args.seed", "1"), ("depth", "None")]
    assert [tag.tags for tag in journal.of(Tags)] == [{"stage": "train", "n": "3"}, {"stage": "test"}]
    assert journal.status == "FINISHED"
    assert len(journal.entries) == run.status().entries == 10


def test_a_param_logged_again_goes_through_for_the_worker_to_judge(spool):
    with ExperimentTracker().start_run("e") as run:
        run.log_param("lr", 0.1)
        run.log_param("lr", 0.2)
    assert only(spool).params == [("lr", "0.1"), ("lr", "0.2")]
    assert run.status().dropped == run.status().changed == {}


def test_a_batch_in_the_forms_of_mlflow_and_of_the_rest_api(spool):
    with ExperimentTracker().start_run("e") as run:
        run.log_batch(
            metrics=[
                SimpleNamespace(key="a", value=1.0, step=1, timestamp=10),
                SimpleNamespace(key="b", value=2.0, step=1, timestamp=10),
                {"key": "a", "value": 3.0, "step": 2, "timestamp": 10},
                {"key": "a", "value": 4.0, "step": 2, "timestamp": 10},
                RunMetrics({"c": 5.0}, step=3),
            ],
            params=[{"key": "p", "value": 1}],
            tags={"t": "x"},
        )
        run.log_batch(metrics={"d": 6.0})
        run.log_batch()
    journal = only(spool)
    assert [entry.metrics for entry in journal.of(Metrics)] == [
        {"a": 1.0, "b": 2.0},
        {"a": 3.0},
        {"a": 4.0},
        {"c": 5.0},
        {"d": 6.0},
    ]
    assert [entry.step for entry in journal.of(Metrics)] == [1, 2, 2, 3, 0]
    assert (journal.params, journal.tags) == ([("p", "1")], {"t": "x"})


def test_a_large_call_becomes_several_entries(spool):
    metrics = {f"m{i}": float(i) for i in range(10_000)}
    wide = {f"{i:03}" + "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 240: float(i) for i in range(900)}
    params = {f"p{i}": "\N{GRINNING FACE}" * PARAM_VALUE_MAX for i in range(60)}
    with ExperimentTracker().start_run("e") as run:
        run.log_metrics(metrics, step=1)
        run.log_metrics(metrics, step=1)
        run.log_metrics(wide)
        run.log_params(params)
    journal = only(spool)
    assert [point[:2] for point in journal.points] == [*metrics.items(), *metrics.items(), *wide.items()]
    assert dict(journal.params) == params
    assert all(len(entry.metrics) <= METRICS_PER_ENTRY for entry in journal.of(Metrics))
    assert all(len(encode(entry)) <= ENTRY_MAX_BYTES for entry in journal.entries)


def test_bad_input_is_counted_told_once_and_the_run_goes_on(spool, caplog):
    with ExperimentTracker().start_run("e") as run:
        for step in range(3):
            run.log_metrics({"loss": "high", "nan": math.nan, "inf": -math.inf, "a@b": 1, "a#b": 2}, step=step)
        run.log_metrics({"far": 1.0, "away": 2.0}, step=2**63)
        run.log_metrics({"early": 1.0}, timestamp=-1)
        run.log_metrics(None)
        run.log_metrics({})
        run.log_params({"api_key": "hunter2", "nul": "a\0b"})
        run.set_tags({"matih.status": "x", "fine": "y"})
        run.log_metrics({"last": 1.0}, step=9)
        status = run.status()
    assert status.dropped == {"metric_not_a_number": 3, "step_impossible": 2, "not_a_mapping": 1, "reserved_tag": 1}
    assert status.changed == {"key_changed": 6, "timestamp_replaced": 1, "secret_redacted": 1, "text_replaced": 1}
    journal = only(spool)
    assert (journal.dropped, journal.changed) == (status.dropped, status.changed)
    assert len(journal.points) == 3 * 4 + 1 + 1
    assert journal.points[-1] == ("last", 1.0, 9)
    assert journal.params == [("api_key", "[redacted]"), ("nul", "a\ufffdb")]
    assert journal.tags["fine"] == "y"
    told = [record.message for record in caplog.records]
    assert len(told) == len(status.dropped) + len(status.changed)
    assert not any("hunter2" in line for line in told)


def test_strict_refuses_a_call_whole(spool):
    tracker = ExperimentTracker(strict=True)
    with tracker.start_run("e") as run:
        for call in (
            lambda: run.log_metrics({"good": 1.0, "bad": "x"}),
            lambda: run.log_metrics({"good": 1.0}, step=2**63),
            lambda: run.log_params({"good": 1, "bad@": 2}),
            lambda: run.set_tag("matih.run_id", "x"),
            lambda: run.log_batch(metrics=[RunMetrics({"x": None})]),
        ):
            with pytest.raises(BadInput, match=r"bad-input\.md"):
                call()
        run.log_param("password", "x")
    assert only(spool).points == []
    assert only(spool).params == [("password", "[redacted]")]


VALUES = st.floats() | st.integers(-(2**70), 2**70) | st.booleans() | st.text(max_size=3) | st.none()
STEPS = st.none() | st.integers(-(2**64), 2**64) | st.floats() | st.booleans()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example({"loss": 0.5, "accuracy": float("nan")}, 3, 1_767_225_600_000)
@example({"loss": 0.5}, -(2**63), 0)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), STEPS, STEPS)
def test_the_fast_path_packs_only_what_needs_no_mending_and_packs_it_alike(metrics, step, timestamp):
    known = set(mend_metrics(metrics).kept)
    payload = pack(metrics, step, timestamp, known)
    if payload is not None:
        mended = mend_metrics(metrics)
        assert mended.problems == []
        # Encoded again, for NaN is unlike itself; the packed form leaves out the fields with a default.
        assert encode(decode(payload)) == encode(Metrics(timestamp, step, mended.kept))
        assert [type(value) for value in metrics.values()] == [float] * len(metrics)


def test_the_fast_path_takes_what_is_usual():
    assert pack({"a": 1.0}, 0, 5, {"a"}) is not None
    assert pack({"a": math.nan}, -(2**63), 2**63 - 1, {"a"}) is not None
    too_many = {str(i): 1.0 for i in range(METRICS_MAX + 1)}
    for metrics, step, timestamp in (
        ({"a": 1}, 0, 5),
        ({"b": 1.0}, 0, 5),
        ({"a": np.float64(1)}, 0, 5),
        ({"a": 1.0}, -(2**63) - 1, 5),
        ({"a": 1.0}, 2**63, 5),
        ({"a": 1.0}, True, 5),
        ({"a": 1.0}, 0, -1),
        ({"a": 1.0}, 0, 5.0),
        ({}, 0, 5),
        (too_many, 0, 5),
        ([("a", 1.0)], 0, 5),
    ):
        assert pack(metrics, step, timestamp, {"a", *too_many}) is None


def test_calls_from_many_threads_are_all_there(spool):
    with ExperimentTracker().start_run("e") as run:

        def log(name: str) -> None:
            for step in range(1000):
                run.log_metrics({name: float(step)}, step=step)

        threads = [threading.Thread(target=log, args=(f"t{i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    points = only(spool).points
    assert len(points) == 8000
    for i in range(8):
        assert [value for key, value, _ in points if key == f"t{i}"] == [float(step) for step in range(1000)]


def test_the_first_end_counts_and_what_comes_later_is_counted(spool, caplog):
    run = ExperimentTracker().start_run("e")
    run.end("completed")
    run.end("FAILED")
    run.log_metrics({"a": 1.0})
    run.log_param("p", 1)
    assert only(spool).status == run.status().state == "FINISHED"
    assert run.status().dropped == {"after_end": 2}
    assert sum("ended" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("word", "status", "changed"),
    [
        ("FAILED", "FAILED", {}),
        ("killed", "KILLED", {}),
        ("Completed", "FINISHED", {}),
        ("running", "FINISHED", {"unknown_status": 1}),
        (7, "FINISHED", {"unknown_status": 1}),
    ],
)
def test_words_for_an_end(spool, word, status, changed):
    run = ExperimentTracker().start_run("e")
    run.end(word)
    assert only(spool).status == status
    assert run.status().changed == changed


def test_flush_says_what_is_on_kafka_and_does_not_wait_where_nobody_delivers(spool):
    run = ExperimentTracker().start_run("e")
    start = time.monotonic()
    assert run.flush(timeout=60) is False
    assert run.wait_applied(timeout=0.1) is False
    assert time.monotonic() - start < 30
    assert run.url is None
    status = run.status()
    assert (status.entries, status.on_kafka, status.state, status.mode) == (1, 0, "RUNNING", "offline")
    run.end()


def test_an_error_of_the_trackers_own_is_counted_and_ends_there(spool, monkeypatch, caplog):
    run = ExperimentTracker().start_run("e")
    with monkeypatch.context() as patch:
        patch.setattr("matih_tracking.packing.params", lambda *_: 1 / 0)
        run.log_params({"p": 1})
    run.log_params({"q": 2})
    run.end()
    assert run.status().dropped == {"internal_error": 1}
    assert only(spool).params == [("q", "2")]
    assert "ZeroDivisionError" in caplog.text


def test_wrong_calls_are_python_errors(spool):
    with ExperimentTracker().start_run("e") as run, pytest.raises(TypeError):
        run.log_metric("a")


def test_many_tags_at_the_start_are_all_there(spool):
    tags = {f"t{i}": "x" * 8000 for i in range(40)}
    with ExperimentTracker().start_run("e", RunConfig(tags=tags)):
        pass
    (journal,) = journals(spool)
    assert {key: value for key, value in journal.tags.items() if key in tags} == tags
    assert journal.of(Params) == []
