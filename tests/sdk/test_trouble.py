"""Trouble on this machine: one clear warning, everything counted, and the run goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.sdk.spools import journals, only
from tests.waiting import until

import matih_tracking.journals
from matih_tracking import ExperimentTracker, TrackingUnavailable
from matih_tracking.journal.entries import Metrics

LARGE = {f"metric{i:03}": float(i) for i in range(150)}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The folders that the SDK falls back to, for this test."""
    folders = [tmp_path / "no", tmp_path / "temporary"]
    folders[0].write_text("a file")
    folders[1].mkdir()
    monkeypatch.setattr(matih_tracking.journals, "fallbacks", lambda: folders)
    return folders


def test_an_unwritable_spool_falls_back_with_one_clear_warning(spool, elsewhere, caplog):
    spool.write_text("a file where the folder should be")
    tracker = ExperimentTracker()
    for _ in range(2):
        with tracker.start_run("e") as run:
            run.log_metrics({"a": 1.0})
    found = journals(elsewhere[1])
    assert [(journal.points, journal.status) for journal in found] == [([("a", 1.0, 0)], "FINISHED")] * 2
    (told,) = [record.message for record in caplog.records]
    assert str(spool) in told
    assert f"matih sync {elsewhere[1]}" in told
    assert run.status().journal.startswith(str(elsewhere[1]))


def test_where_nothing_can_be_kept_everything_is_counted_and_the_run_goes_on(spool, elsewhere, caplog):
    spool.write_text("a file")
    shutil.rmtree(elsewhere[1])
    elsewhere[1].write_text("a file")
    with ExperimentTracker().start_run("e") as run:
        for step in range(10):
            run.log_metrics({"a": 1.0}, step=step)
        run.log_params({"p": 1})
        assert run.flush(0.1) is True  # nothing is waiting
    assert run.status().dropped == {"no_spool": 11}
    assert run.status().entries == 0
    (told,) = [record.message for record in caplog.records]
    assert "nothing can be kept" in told


def test_a_spool_that_comes_back_is_used(spool, elsewhere, monkeypatch):
    monkeypatch.setattr("matih_tracking.recorder.REOPEN_SECONDS", 0.0)
    elsewhere.clear()
    spool.write_text("a file")
    with ExperimentTracker().start_run("e") as run:
        run.log_metrics({"a": 1.0}, step=1)
        spool.unlink()
        run.log_metrics({"a": 2.0}, step=2)
    assert only(spool).points == [("a", 2.0, 2)]
    assert only(spool).dropped == {"no_spool": 1}
    assert only(spool).status == "FINISHED"


def test_strict_raises_at_the_start(spool, elsewhere):
    spool.write_text("a file")
    with pytest.raises(TrackingUnavailable, match="MATIH_SPOOL_DIR"):
        ExperimentTracker(strict=True).start_run("e")


def fill(run, calls=2000):
    for step in range(calls):
        run.log_metrics(LARGE, step=step)


def test_a_full_spool_drops_and_counts_and_the_end_still_fits(spool, monkeypatch, caplog):
    monkeypatch.setenv("MATIH_SPOOL_MAX_BYTES", "1M")
    with ExperimentTracker().start_run("e") as run:
        fill(run)
        dropped = run.status().dropped["spool_full"]
    journal = only(spool)
    kept = journal.of(Metrics)
    assert len(kept) + dropped == 2000
    assert [entry.step for entry in kept] == list(range(len(kept)))
    assert (journal.status, journal.dropped) == ("FINISHED", {"spool_full": dropped})
    (told,) = [record.message for record in caplog.records]
    assert "MATIH_SPOOL_MAX_BYTES" in told


def test_the_policy_raise(spool, monkeypatch):
    monkeypatch.setenv("MATIH_SPOOL_MAX_BYTES", "1M")
    monkeypatch.setenv("MATIH_SPOOL_FULL_POLICY", "raise")
    with ExperimentTracker().start_run("e") as run, pytest.raises(TrackingUnavailable, match="MATIH_SPOOL_MAX_BYTES"):
        fill(run)
    assert only(spool).status == "FINISHED"


def test_the_policy_block_waits_for_room_and_then_drops(spool, monkeypatch):
    monkeypatch.setenv("MATIH_SPOOL_MAX_BYTES", "1M")
    monkeypatch.setenv("MATIH_SPOOL_FULL_POLICY", "block")
    monkeypatch.setenv("MATIH_SPOOL_FULL_TIMEOUT", "0.2")
    with ExperimentTracker().start_run("e") as run:
        step = 0
        while not run.status().dropped:
            start = time.monotonic()
            run.log_metrics(LARGE, step=step)
            step += 1
        assert time.monotonic() - start >= 0.2
    assert only(spool).status == "FINISHED"


FULL_DISK = """
import os
from matih_tracking import ExperimentTracker
run = ExperimentTracker().start_run("e")
for step in range(5000):
    run.log_metrics({f"metric{i:03}": float(i) for i in range(150)}, step=step)
run.end()
from pathlib import Path
from tests.sdk.spools import only
from matih_tracking.journal.entries import Metrics
journal = only(Path(os.environ["MATIH_SPOOL_DIR"]))
print(len(journal.of(Metrics)) + journal.dropped["spool_full"], journal.status, journal.dropped == run.status().dropped)
"""
SMALL_DISK = ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$MATIH_SPOOL_DIR" && exec "$@"', "sh"]


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode != 0,
    reason="this system lets nobody mount a small disk; the bound on the spool takes the same way",
)
def test_a_full_disk(spool, tmp_path):
    spool.mkdir()
    script = tmp_path / "full.py"
    script.write_text(FULL_DISK)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*SMALL_DISK, sys.executable, str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "5000 FINISHED True\n", done.stderr
    assert done.stderr.count("no room") == 1


def test_a_spool_deleted_under_a_running_trainer_is_made_anew(spool, caplog):
    run = ExperimentTracker().start_run("e")
    run.log_metrics({"a": 1.0}, step=1)
    shutil.rmtree(spool)

    def log() -> bool:
        run.log_metrics({"b": 1.0}, step=2)
        return bool(caplog.records)

    until(log, "the look at the house that finds it gone")
    run.log_metrics({"c": 1.0}, step=3)
    run.end()
    points = only(spool).points
    assert points[0] == ("a", 1.0, 1)
    assert points[-1] == ("c", 1.0, 3)
    assert (only(spool).status, only(spool).dropped) == ("FINISHED", {})
    assert "removed" in caplog.records[0].message
