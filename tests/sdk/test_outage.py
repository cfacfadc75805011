"""Every backend down, from the first line on: the script's exit code is its own, and it ends soon."""

from __future__ import annotations

import os
import signal
import time

import pytest
from tests.sdk.spools import experiments, only
from tests.waiting import until

from matih_tracking.shipper import state

UNREACHABLE = {
    "MATIH_MODE": "online",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MATIH_EXIT_TIMEOUT": "1",
}
SCRIPT = """
import sys
from matih_tracking import ExperimentConfig, ExperimentTracker
tracker = ExperimentTracker()
tracker.create_experiment(ExperimentConfig("alone"))
run = tracker.start_run("outage")
for step in range(1000):
    run.log_metrics({"loss": 1 / (step + 1), "acc": 0.5, "lr": 0.1}, step=step)
assert run.url is None
assert run.wait_applied(0.1) is False
sys.exit(5)
"""


def shipper(spool):
    return next((told for file in spool.rglob(state.STATE_FILE) if (told := state.read(file.parent))), None)


def test_the_exit_code_is_the_scripts_own_and_all_is_kept(scripts, spool):
    done = scripts.run(SCRIPT, **UNREACHABLE)
    assert done.returncode == 5, done.stderr
    start, end = [line for line in done.stderr.splitlines() if line.startswith("matih: run")]
    assert start.endswith("-> kafka 127.0.0.1:9")
    assert "FAILED: 1002 of 1002 entries still on disk in" in end
    assert "matih sync" in end
    journal = only(spool)
    assert len(journal.points) == 3000
    assert journal.status == "FAILED"
    assert [experiment.name for experiment in experiments(spool)] == ["alone"]


def test_quiet_says_nothing(scripts):
    done = scripts.run(SCRIPT, **UNREACHABLE | {"MATIH_QUIET": "1", "MATIH_EXIT_TIMEOUT": "0"})
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


def test_a_dead_shipper_is_started_again_by_the_log_calls(scripts, spool):
    code = """
import time
from matih_tracking import ExperimentTracker
run = ExperimentTracker().start_run("e")
while True:
    run.log_metrics({"a": 1.0})
    time.sleep(0.02)
"""
    scripts.start(code, **UNREACHABLE)
    first = until(lambda: shipper(spool), "the trainer's shipper")
    os.kill(first.pid, 9)
    until(lambda: shipper(spool).pid != first.pid, "another shipper")


def test_the_budget_for_the_exit_is_one_for_all_runs(scripts):
    code = """
from matih_tracking import ExperimentTracker
tracker = ExperimentTracker()
for i in range(20):
    with tracker.start_run("sweep") as run:
        run.log_metrics({"i": float(i)})
"""
    start = time.monotonic()
    done = scripts.run(code, **UNREACHABLE)
    assert done.returncode == 0, done.stderr
    assert "20 runs: 60 of 60 entries still on disk" in done.stderr
    assert time.monotonic() - start < 20  # 20 budgets of a second, and the rest


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_whoever_does_not_want_to_wait_at_the_exit_need_not(scripts, spool, signal_name):
    code = 'from matih_tracking import ExperimentTracker\nExperimentTracker().start_run("e")\nprint("end", flush=True)'
    process = scripts.start(code, **UNREACHABLE | {"MATIH_EXIT_TIMEOUT": "600"})
    assert process.stdout.readline() == "end\n"
    until(lambda: only(spool).status, "the end in the journal")
    process.send_signal(getattr(signal, signal_name))
    process.communicate(timeout=30)
    assert process.returncode == {"SIGINT": 0, "SIGTERM": -15}[signal_name]
    assert only(spool).status == "FINISHED"
