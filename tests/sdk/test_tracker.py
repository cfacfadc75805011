"""Experiments and runs without a network: ids that all agree on, entries that outlive the process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.sdk.spools import experiments, journals, only

from matih_kafka.settings import KafkaSettings
from matih_schemas.errors import InvalidName
from matih_schemas.identity import experiment_id
from matih_tracking import (
    ExperimentConfig,
    ExperimentTracker,
    NotSupported,
    RunConfig,
    TrackingUnavailable,
    experiment_tracker,
)
from matih_tracking import __all__ as public
from matih_tracking.configs import RunMetrics
from matih_tracking.target import target


def test_an_experiment_without_a_run_is_in_the_spool_once_with_all_it_was_given(spool):
    tracker = ExperimentTracker()
    config = ExperimentConfig("mnist", "digits", {"team": "red", "matih.x": "y"}, "s3://bucket/a", tenant_id="acme")
    assert config.tags == {"team": "red", "matih.x": "y", "matih.tenant_id": "acme"}
    created = tracker.create_experiment(config)
    assert created == tracker.create_experiment(config) == tracker.get_or_create_experiment("mnist", "acme")
    assert created == experiment_id("acme", "mnist") != tracker.get_or_create_experiment("mnist")
    first, second = experiments(spool)
    assert (first.tenant_id, first.experiment_id, first.name) == ("acme", created, "mnist")
    assert (first.description, first.artifact_location) == ("digits", "s3://bucket/a")
    assert first.tags == {"team": "red", "matih.tenant_id": "acme"}
    assert (second.tenant_id, second.tags) == ("default", {})


def test_a_config_leaves_the_callers_tags_alone():
    tags = {"a": "b"}
    assert ExperimentConfig("e", tags=tags, tenant_id="t").tags == {"a": "b", "matih.tenant_id": "t"}
    assert tags == {"a": "b"}
    assert RunMetrics({"a": 1}) == RunMetrics({"a": 1}, None, None)


def test_a_run_carries_what_its_experiment_needs(spool):
    tracker = ExperimentTracker()
    tracker.create_experiment(ExperimentConfig("mnist", "digits", {"team": "red"}, "s3://b/a", tenant_id="acme"))
    config = RunConfig("first", user_id="ann", job_id="j1", description="a try", parent_run_id="f" * 32)
    tracker.start_run("mnist", config).end()
    created = only(spool).created
    assert (created.tenant_id, created.experiment_id) == ("acme", experiment_id("acme", "mnist"))
    assert (created.experiment_description, created.artifact_location) == ("digits", "s3://b/a")
    assert created.experiment_tags == {"team": "red", "matih.tenant_id": "acme"}
    assert (created.run_name, created.user_id, created.job_id) == ("first", "ann", "j1")
    assert (created.description, created.parent_run_id) == ("a try", "f" * 32)
    assert created.tags["mlflow.user"] == "ann"
    assert created.tags["mlflow.source.name"]
    assert created.host
    assert created.sdk_version


def test_a_runs_tenant(spool, monkeypatch):
    monkeypatch.setenv("MATIH_TENANT", "fallback")
    tracker = ExperimentTracker()
    tracker.create_experiment(ExperimentConfig("one", tenant_id="acme"))
    tracker.create_experiment(ExperimentConfig("two", tenant_id="acme"))
    tracker.create_experiment(ExperimentConfig("two", tenant_id="umbrella"))
    for name, config in (
        ("one", RunConfig(tenant_id="given")),
        ("one", None),
        ("two", None),
        ("three", None),
    ):
        tracker.start_run(name, config).end()
    assert [journal.created.tenant_id for journal in journals(spool)] == ["given", "acme", "fallback", "fallback"]


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "a\nb", None, 7])
def test_names_that_cant_be(spool, name):
    tracker = ExperimentTracker()
    for call in (tracker.start_run, tracker.get_or_create_experiment):
        with pytest.raises(InvalidName):
            call(name)
    assert journals(spool) == []


def test_a_tenant_that_cant_be(spool):
    with pytest.raises(InvalidName):
        ExperimentTracker().start_run("e", RunConfig(tenant_id="a/b"))
    with pytest.raises(InvalidName):
        ExperimentTracker().create_experiment(ExperimentConfig("e", tenant_id="../x"))


def test_another_resume_is_refused(spool):
    with pytest.raises(NotSupported, match="allow"):
        ExperimentTracker().start_run("e", resume="maybe")
    assert journals(spool) == []


def test_a_run_that_goes_on_has_the_same_id_and_another_producer(spool):
    config = RunConfig(run_id="nightly")
    one = ExperimentTracker().start_run("e", config)
    one.end("FAILED")
    other = ExperimentTracker().start_run("e", config)
    other.end()
    first, second = journals(spool)
    assert first.run_id == second.run_id == one.run_id == other.run_id
    assert first.producer_id != second.producer_id
    assert first.created.time <= second.created.time


def test_matih_run_id_is_used_once(spool, monkeypatch):
    monkeypatch.setenv("MATIH_RUN_ID", "a" * 32)
    monkeypatch.delenv("MATIH_RUN_ID_USED_BY", raising=False)
    tracker = ExperimentTracker()
    given = RunConfig(run_id="b" * 32)
    ids = []
    for config in (given, None, None):
        run = tracker.start_run("e", config)
        ids.append(run.run_id)
        run.end()
    assert ids[:2] == ["b" * 32, "a" * 32]
    assert ids[2] not in ids[:2]
    pid, started = os.environ["MATIH_RUN_ID_USED_BY"].split(",")
    assert int(pid) == os.getpid()
    assert int(started) > 0
    monkeypatch.delenv("MATIH_RUN_ID_USED_BY")


def test_ranks_of_one_job_share_the_nth_run_of_a_name(spool, monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2"), ("TORCHELASTIC_RUN_ID", spool.parent.name)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RANK", "1")
    tracker = ExperimentTracker()
    runs = [tracker.start_run("e", RunConfig(name)) for name in ("a", "a", "b")]
    assert len({run.run_id for run in runs}) == 3
    assert not any(run.owner for run in runs)
    for run in runs:
        run.end()
    assert {journal.created.rank for journal in journals(spool)} == {1}


def test_a_rank_that_finds_no_common_run_says_so(spool, monkeypatch, caplog):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    run = ExperimentTracker().start_run("e")
    run.end()
    assert run.owner
    assert "rank 3 of 8" in caplog.text


def test_disabled_does_nothing_at_all(spool, monkeypatch, capfd):
    monkeypatch.setenv("MATIH_MODE", "disabled")
    monkeypatch.delenv("MATIH_QUIET")
    tracker = ExperimentTracker(strict=True)
    assert tracker.get_or_create_experiment("e") == experiment_id("default", "e")
    with tracker.start_run("e") as run:
        run.log_metrics({"a": 1.0})
        run.log_metrics({"a": 1.0})
        run.log_params({"a": 1})
        assert run.flush(60)
        assert run.url is None
        assert run.status().entries == 0
    assert not spool.exists()
    assert capfd.readouterr().err == ""


def test_the_line_at_the_start_says_where_the_data_goes(spool, monkeypatch, capfd):
    monkeypatch.delenv("MATIH_QUIET")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    run = ExperimentTracker().start_run("e", RunConfig("baseline"))
    run.end()
    told = capfd.readouterr().err
    assert told.startswith(f'matih: run {run.run_id[:8]} "baseline" -> {spool}')
    assert "matih sync" in told


def test_a_wrong_setting_is_told_and_the_default_holds_unless_strict(spool, monkeypatch, caplog):
    monkeypatch.setenv("MATIH_SHIPPER", "external")
    monkeypatch.setenv("MATIH_EXIT_TIMEOUT", "soon")
    monkeypatch.setenv("MATIH_SPOOL_MAX_BYTES", "much")
    ExperimentTracker().start_run("e").end()
    assert len(journals(spool.parent)) <= 1
    assert "MATIH_EXIT_TIMEOUT='soon'" in caplog.text
    assert "MATIH_SPOOL_MAX_BYTES" in caplog.text
    with pytest.raises(TrackingUnavailable, match="MATIH_EXIT_TIMEOUT"):
        ExperimentTracker(strict=True)


def test_the_names_stand_in_both_places():
    assert sorted(public) == sorted(experiment_tracker.__all__)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2", "MATIH_EVENTS_TOPIC": "t"},
        {"KAFKA_SASL_USERNAME": "ann", "KAFKA_SSL_CERTFILE": "/x"},
        {"KAFKA_SSL_CERTFILE": "certs//ann.pem", "KAFKA_SASL_USERNAME": ""},
    ],
)
def test_the_sdk_and_the_shipper_read_the_same_target(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings, found = KafkaSettings(), target(os.environ)
    assert (found.brokers, found.topic, found.principal) == (
        settings.bootstrap_servers,
        settings.events_topic,
        settings.principal,
    )
    assert Path(found.principal) or not found.principal


def test_values_of_other_types_and_texts_that_cant_be_stored_are_no_trouble(spool, monkeypatch):
    monkeypatch.setenv("USER", "ann\udcff")
    monkeypatch.delenv("LOGNAME", raising=False)
    monkeypatch.setattr("sys.argv", ["/data/\udcffscript.py"])
    tracker = ExperimentTracker()
    tracker.create_experiment(
        ExperimentConfig("e", description=3, tags={"n": 1, 2: None}, artifact_location="s3://\ud800")
    )
    config = RunConfig(5, user_id=7, job_id=8, description=9, tags={"t": 1.5}, run_id=10, parent_run_id="a\0b")
    run = tracker.start_run("e", config)
    run.end()
    created = only(spool).created
    assert (created.run_name, created.user_id, created.job_id, created.description) == ("5", "7", "8", "9")
    assert created.parent_run_id == "a\ufffdb"
    assert created.claimed_user == "ann\ufffd"
    assert created.tags["mlflow.source.name"] == "/data/\ufffdscript.py"
    assert (created.tags["t"], created.tags["mlflow.user"]) == ("1.5", "7")
    assert created.experiment_tags["n"] == "1"
    assert run.run_id == tracker.start_run("e", RunConfig(run_id="10")).run_id


def test_a_name_that_cant_be_encoded(spool):
    with pytest.raises(InvalidName):
        ExperimentTracker().start_run("e\ud800")


def test_where_somebody_else_runs_the_shipper_none_is_started(scripts, tmp_path):
    code = "from matih_tracking import ExperimentTracker\nExperimentTracker().start_run('e').end()\n"
    done = scripts.run(code, MATIH_MODE="online", MATIH_SHIPPER="external", MATIH_EXIT_TIMEOUT="0.2")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("shipper.*")) == []
    assert only(tmp_path).status == "FINISHED"
