"""How a process ends is how its run ends, with every backend down; whatever happens, the journal can be read."""

from __future__ import annotations

import signal
import sys

import pytest
from tests.sdk.spools import journals, only
from tests.waiting import until

START = """
import os, signal, sys, threading, time
from matih_tracking import ExperimentTracker
tracker = ExperimentTracker()
"""
RUN = START + 'run = tracker.start_run("endings")\nrun.log_metrics({"loss": 0.5}, step=1)\n'
WITH = START + 'with tracker.start_run("endings") as run:\n    run.log_metrics({"loss": 0.5}, step=1)\n    '
UNTIL_KILLED = 'print("ready", flush=True)\nwhile True: time.sleep(0.01)'

ENDS = {
    "to its end": (RUN, 0, "FINISHED", ""),
    "with, to its end": (WITH + "pass", 0, "FINISHED", ""),
    "ended by hand": (RUN + 'run.end("FAILED")', 0, "FAILED", ""),
    "uncaught": (RUN + "1 / 0", 1, "FAILED", "ZeroDivisionError"),
    "with, uncaught": (WITH + "1 / 0", 1, "FAILED", "ZeroDivisionError"),
    "with, caught outside": (
        START + "try:\n  with tracker.start_run('e') as run:\n    run.log_metrics({'loss': 0.5}, step=1)\n    1 / 0\n"
        "except ZeroDivisionError: pass",
        0,
        "FAILED",
        "ZeroDivisionError",
    ),
    "sys.exit()": (RUN + "sys.exit()", 0, "FINISHED", ""),
    "sys.exit(0)": (RUN + "sys.exit(0)", 0, "FINISHED", ""),
    "sys.exit(7)": (RUN + "sys.exit(7)", 7, "FAILED", "exit code 7"),
    "sys.exit(text)": (RUN + "sys.exit('no data')", 1, "FAILED", "exit code 'no data'"),
    "with, sys.exit(0)": (WITH + "sys.exit(0)", 0, "FINISHED", ""),
    "with, raise SystemExit(3)": (WITH + "raise SystemExit(3)", 3, "FAILED", "exit code 3"),
    "sys.exit(7), caught": (RUN + "try: sys.exit(7)\nexcept SystemExit: pass", 0, "FINISHED", ""),
    "sys.exit(7), caught in a function": (
        RUN + "def f():\n  try: sys.exit(7)\n  except SystemExit: pass\nf()\nf()",
        0,
        "FINISHED",
        "",
    ),
    "sys.exit(7), caught and raised again": (
        RUN + "try: sys.exit(7)\nexcept SystemExit as error:\n  kept = error\n  raise",
        7,
        "FAILED",
        "exit code 7",
    ),
    "argparse": (RUN + "import argparse\nargparse.ArgumentParser().parse_args(['--none'])", 2, "FAILED", "exit code 2"),
    "a thread's sys.exit": (
        RUN + "t = threading.Thread(target=sys.exit, args=(3,))\nt.start()\nt.join()",
        0,
        "FINISHED",
        "",
    ),
    "a thread's exception": (
        RUN + "t = threading.Thread(target=int, args=('x',))\nt.start()\nt.join()",
        0,
        "FINISHED",
        "",
    ),
    "uncaught, behind another's hook": (
        RUN + "sys.excepthook = lambda *_: None\n1 / 0",
        1,
        "FAILED",
        "ZeroDivisionError",
    ),
    "uncaught KeyboardInterrupt": (
        RUN + "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)",
        -2,
        "KILLED",
        "KeyboardInterrupt",
    ),
    "with, KeyboardInterrupt": (WITH + "raise KeyboardInterrupt", -2, "KILLED", "KeyboardInterrupt"),
    "SIGTERM": (RUN + "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(9)", -15, "KILLED", "SIGTERM"),
    "with, SIGTERM": (WITH + "os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", -15, "KILLED", "SIGTERM"),
    "SIGTERM, the script's own handler": (
        START.replace("tracker =", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\ntracker =")
        + RUN[len(START) :]
        + "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(9)",
        0,
        "FINISHED",
        "",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_sets_the_status_and_the_exit_code_stays_the_scripts_own(scripts, spool, end):
    code, exit_code, status, reason = ENDS[end]
    done = scripts.run(code)
    assert done.returncode == exit_code, done.stderr
    journal = only(spool)
    assert (journal.status, journal.ended.reason) == (status, reason)
    assert journal.points == [("loss", 0.5, 1)]
    assert "matih sync" in done.stderr or exit_code == -15


def test_a_sigterm_from_outside_and_its_line(scripts, spool):
    process = scripts.start(RUN + UNTIL_KILLED)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert only(spool).status == "KILLED"
    assert told.splitlines()[-1].endswith("KILLED (SIGTERM): 3 of 3 entries are still on their way")


def test_sigkill_leaves_all_that_was_logged_and_no_end(scripts, spool):
    log = """
ledger = open("ledger", "w", buffering=1)
for i in range(10_000_000):
    run.log_metrics({"loss": float(i)}, step=i)
    print(i, file=ledger)
"""
    process = scripts.start(RUN + log)
    ledger = scripts.folder / "ledger"
    until(lambda: ledger.exists() and ledger.stat().st_size > 50_000, "a ledger that grows")
    process.kill()
    process.wait()
    logged = ledger.read_text().rpartition("\n")[0].count("\n") + 1
    journal = only(spool)
    assert journal.status is None
    assert journal.points[1:] == [("loss", float(i), i) for i in range(len(journal.points) - 1)]
    assert logged <= len(journal.points) - 1 <= logged + 1


def test_os_exit_passes_us_by_as_a_kill_does(scripts, spool):
    assert scripts.run(RUN + "os._exit(0)").returncode == 0
    assert only(spool).status is None


FORK = """
pid = os.fork()
if pid == 0:
    run.log_metrics({"child": 1.0}, step=2)
    CHILD
_, how = os.waitpid(pid, 0)
run.log_metrics({"loss": 0.25}, step=3)
print(os.waitstatus_to_exitcode(how))
"""


@pytest.mark.parametrize(
    ("child", "exit_code", "status"),
    [
        ("sys.exit(0)", 0, "FINISHED"),
        ("sys.exit(4)", 4, "FAILED"),
        ("os._exit(0)", 0, None),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", -15, "KILLED"),
        ("run.end('FINISHED'); sys.exit(0)", 0, "FINISHED"),
    ],
)
def test_a_forked_child_logs_into_the_run_by_a_journal_of_its_own_and_does_not_end_it(
    scripts, spool, child, exit_code, status
):
    done = scripts.run(RUN + FORK.replace("CHILD", child))
    assert (done.returncode, done.stdout) == (0, f"{exit_code}\n"), done.stderr
    parent, forked = journals(spool)
    assert parent.run_id == forked.run_id
    assert parent.producer_id != forked.producer_id
    assert (parent.created.owner, forked.created.owner, forked.created.rank) == (True, False, None)
    assert (parent.points, forked.points) == ([("loss", 0.5, 1), ("loss", 0.25, 3)], [("child", 1.0, 2)])
    assert (parent.status, forked.status) == ("FINISHED", status)


def test_a_forked_child_that_logs_nothing_leaves_nothing(scripts, spool):
    done = scripts.run(WITH + "pid = os.fork()\n    if pid == 0: sys.exit(0)\n    os.waitpid(pid, 0)")
    assert done.returncode == 0, done.stderr
    assert only(spool).status == "FINISHED"
    assert done.stderr.count("matih sync") == 2  # the parent's two lines; none of the child's


def test_workers_of_multiprocessing(scripts, spool):
    work = """
import multiprocessing
def work(i):
    run.log_metrics({f"w{i}": float(i)}, step=i)
    if i == 2: raise RuntimeError("worker 2")
context = multiprocessing.get_context("fork")
workers = [context.Process(target=work, args=(i,)) for i in range(3)]
for worker in workers: worker.start()
for worker in workers: worker.join()
print([worker.exitcode for worker in workers])
"""
    done = scripts.run(RUN + work)
    assert (done.returncode, done.stdout) == (0, "[0, 0, 1]\n"), done.stderr
    parent, *others = journals(spool)
    assert parent.status == "FINISHED"
    assert {journal.run_id for journal in others} == {parent.run_id}
    found = sorted((journal.points[0], journal.status, journal.created.owner) for journal in others)
    assert found == [
        (("w0", 0.0, 0), "FINISHED", False),
        (("w1", 1.0, 1), "FINISHED", False),
        (("w2", 2.0, 2), "FAILED", False),
    ]


def test_spawned_workers_start_runs_of_their_own(scripts, spool):
    work = """
import multiprocessing
from matih_tracking import ExperimentTracker
def work(i):
    ExperimentTracker().start_run("sweep").log_metrics({"i": float(i)})
if __name__ == "__main__":
    run = ExperimentTracker().start_run("sweep")
    workers = [multiprocessing.get_context("spawn").Process(target=work, args=(i,)) for i in range(2)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
"""
    done = scripts.run(work, MATIH_RUN_ID="nightly")
    assert done.returncode == 0, done.stderr
    found = journals(spool)
    assert [journal.status for journal in found] == ["FINISHED"] * 3
    assert len({journal.run_id for journal in found}) == 3  # MATIH_RUN_ID was the parent's
    assert all(journal.created.owner for journal in found)


def test_another_rank_ends_without_ending_the_run(scripts, spool):
    launcher = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "job"}
    assert scripts.run(RUN, RANK="0", **launcher).returncode == 0
    assert scripts.run(RUN + "sys.exit(1)", RANK="1", **launcher).returncode == 1
    first, second = journals(spool)
    assert first.run_id == second.run_id
    assert [(j.created.owner, j.created.rank, j.status) for j in (first, second)] == [
        (True, 0, "FINISHED"),
        (False, 1, "FAILED"),
    ]
    assert second.created.tags == {}  # it must not set the owner's tags back


def test_a_sigterm_while_another_thread_logs_is_over_at_once(scripts, spool):
    threads = """
def log(name):
    i = 0
    while True:
        run.log_metrics({name: float(i)}, step=i)
        i += 1
for i in range(3): threading.Thread(target=log, args=(f"t{i}",), daemon=True).start()
print("ready", flush=True)
while True: run.log_metrics({"main": 1.0})
"""
    process = scripts.start(RUN + threads)
    assert process.stdout.readline() == "ready\n"
    until(lambda: any(file.stat().st_size > 1 << 17 for file in spool.rglob("*.seg")), "segments that grow")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    journal = only(spool)  # asserts that the end, if it is there, is the last entry
    for i in range(3):
        steps = [step for key, _, step in journal.points if key == f"t{i}"]
        assert steps == list(range(len(steps)))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_fork_past_pythons_hooks_is_noticed(scripts, spool):
    fork = """
import ctypes
pid = ctypes.PyDLL(None).fork()  # past os.register_at_fork
if pid == 0:
    time.sleep(1.1)  # the next look at the house is a second away
    for i in range(3): run.log_metrics({"child": float(i)}, step=i)
    os._exit(0)
os.waitpid(pid, 0)
run.log_metrics({"parent": 1.0}, step=9)
"""
    done = scripts.run(RUN + fork)
    assert done.returncode == 0, done.stderr
    parent, child = journals(spool)
    assert (parent.created.owner, parent.status) == (True, "FINISHED")
    assert parent.points == [("loss", 0.5, 1), ("parent", 1.0, 9)]
    assert (child.created.owner, child.status) == (False, None)
    assert child.points == [("child", float(i), i) for i in range(3)]
