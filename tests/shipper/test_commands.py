"""`matih run`, `sync`, `status` and `shipper` as processes, on a real broker."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.shipper.world import by_producer, ends, written_by
from tests.shipper.writing import Trainer
from tests.waiting import until

from matih_tracking.shipper import state
from matih_tracking.spool import SpoolSettings, open_spool, spool_key_of

ROOT = Path(__file__).parents[2]
NO_KAFKA = "127.0.0.1:9"

TRAIN = """
import os, sys
from tests.shipper.writing import Trainer
from matih_tracking.shipper.command import own_spool
trainer = Trainer(own_spool(), os.environ["MATIH_RUN_ID"])
trainer.log(int(sys.argv[1]))
print(trainer.run_id, len(trainer.said), flush=True)
if sys.argv[2] != "dies":
    trainer.end()
    sys.exit(int(sys.argv[2]))
os.kill(os.getpid(), 9)
"""
WAITS_FOR_SIGNALS = """
import signal, sys, time
seen = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
    signal.signal(number, lambda number, frame: seen.append(number))
print("ready", flush=True)
while not seen:
    time.sleep(0.02)
time.sleep(0.3)
print("seen", *map(int, seen), flush=True)
sys.exit(40 + len(seen))
"""


@pytest.fixture
def job(world):
    """A function that runs a training script under `matih run`."""
    script = world.folder / "train.py"
    script.write_text(TRAIN)

    def run(*arguments, options=(), **variables):
        command = ("run", *options, "--", sys.executable, str(script), *map(str, arguments))
        return world.matih(*command, PYTHONPATH=str(ROOT), **variables)

    return run


def test_run_delivers_and_gives_the_jobs_exit_code(world, job):
    done = job(500, 3, options=("--wait", "30"))
    run_id, said = done.stdout.split()
    assert done.returncode == 3
    assert done.stderr == f"matih: {int(said) + 1} entries are on Kafka\n"
    assert len(run_id) == 32
    arrived = by_producer(world.events())
    assert [len(its) for its in arrived.values()] == [int(said) + 1]
    assert not state.is_running(world.spool)


def test_run_keeps_a_run_id_that_is_given(job):
    assert job(1, 0, MATIH_RUN_ID="f" * 32).stdout.split()[0] == "f" * 32


def test_a_killed_job_is_128_plus_the_signal_and_its_run_has_failed(world, job):
    done = job(50, "dies", options=("--wait", "30"))
    assert done.returncode == 137
    ((end,),) = ends(world.events()).values()
    assert (end.status, end.inferred) == ("FAILED", True)


def test_run_with_kafka_away_says_what_is_left_and_what_delivers_it(world, job):
    done = job(100, 0, options=("--wait", "1"), KAFKA_BOOTSTRAP_SERVERS=NO_KAFKA)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert f"{int(done.stdout.split()[1]) + 1} entries are not on Kafka" in line
    spool = Path(line.partition("`matih sync ")[2].partition("`")[0])
    told = until(lambda: state.read(spool), "its shipper goes on")
    os.kill(told.pid, signal.SIGKILL)
    shipped = world.matih("sync", str(spool), "--json")
    assert shipped.returncode == 1
    assert "written for" in json.loads(shipped.stdout)["reason"]
    shipped = world.matih("sync", str(spool), "--json", "--any-target")
    assert shipped.returncode == 0
    assert json.loads(shipped.stdout)["delivered"] == int(done.stdout.split()[1]) + 1
    assert sum(len(its) for its in by_producer(world.events()).values()) == int(done.stdout.split()[1]) + 1


@pytest.mark.parametrize(("command", "code"), [(["no-such-program"], 127), (["/etc/hostname"], 126)])
def test_a_command_that_can_not_be_run(world, command, code):
    done = world.matih("run", "--", *command)
    assert done.returncode == code
    assert done.stderr.startswith(f"matih: can't run '{command[0]}': ")
    assert done.stderr.count("\n") == 1


def test_run_without_a_command_is_wrong_use(world):
    assert world.matih("run").returncode == 2
    assert world.matih("run", "--wait", "soon", "--", "true").returncode == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_go_to_the_job(world, number):
    process = world.start("-m", "matih_console.main", "run", "--", sys.executable, "-c", WAITS_FOR_SIGNALS)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert out == f"seen {int(number)}\n"
    assert process.returncode == 41


def test_ctrl_c_at_a_terminal_reaches_the_job_once(world):
    command = [sys.executable, "-m", "matih_console.main", "run", "--", sys.executable, "-c", WAITS_FOR_SIGNALS]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, world.environment)
    said = read_until(terminal, b"ready")
    os.write(terminal, b"\x03")
    said += read_until(terminal, b"seen 2\r\n")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 41, said


def read_until(terminal, words):
    """What the terminal shows, up to these words or its end."""
    said = b""
    with suppress(OSError):  # Linux's way of saying that nobody has the other side open
        while words not in said:
            said += os.read(terminal, 1024)
    return said


def test_run_offline_starts_no_shipper(world, job):
    assert job(10, 0, MATIH_MODE="offline").returncode == 0
    assert state.read(world.spool) is None
    assert json.loads(world.matih("sync", "--json").stdout)["left"] == 0
    assert world.events()


def test_sync_with_nothing_to_do(world):
    done = world.matih("sync", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "journals": 0, "entries": 0, "delivered": 0, "left": 0, "unreadable": {}, "reason": None,
    }  # fmt: skip


def test_sync_delivers_a_copy_of_a_spool_wherever_it_lies(world, tmp_path):
    trainers = [Trainer(world.spool) for _ in range(3)]
    for trainer in trainers:
        trainer.log(300)
        trainer.end()
    copy = tmp_path / "usb" / "copy"
    shutil.copytree(world.spool, copy)
    shutil.rmtree(world.spool)
    done = world.matih("sync", str(copy), "--json", "--rate", "100000")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["journals"], report["left"]) == (3, 0)
    assert report["delivered"] == sum(len(trainer.said) for trainer in trainers)
    assert by_producer(world.events()) == written_by(*trainers)
    # Nothing but the copy was touched: its parents' modes among it.
    assert (tmp_path / "usb").stat().st_mode & 0o777 != 0o700


def test_sync_of_a_base_finds_its_spools_and_older_boots_are_our_own(world):
    older = world.spool.with_name(world.spool.name[:17] + "0" * 32)
    trainers = [Trainer(world.spool), Trainer(open_spool(older), spool_key=spool_key_of(world.spool))]
    for trainer in trainers:
        trainer.log(20)
        trainer.end()
    assert world.matih("sync").returncode == 0
    assert by_producer(world.events()) == written_by(*trainers)
    assert world.matih("sync", str(world.base), "--json").returncode == 0


def test_sync_waits_for_a_shipper_that_runs(world):
    trainer = Trainer(world.spool)
    shipper = world.start_shipper("--forever")
    trainer.log(5000)
    done = world.matih("sync", "--json")
    assert done.returncode == 0
    assert trainer.journal.acked() == len(trainer.said)
    assert shipper.poll() is None


def test_sync_gives_up_and_says_why(world):
    Trainer(world.spool).end()
    done = world.matih("sync", str(world.spool), "--any-target", "--timeout", "5", KAFKA_BOOTSTRAP_SERVERS=NO_KAFKA)
    assert done.returncode == 1
    assert "2 entries are left: Kafka at 127.0.0.1:9" in done.stderr
    assert not state.is_running(world.spool)


def test_sync_of_no_spool(world, tmp_path):
    (tmp_path / "empty").mkdir()
    done = world.matih("sync", str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "holds no spool" in done.stderr
    assert world.matih("sync", "/no/such/folder").returncode == 2


def test_wrong_settings_are_wrong_use(world):
    for command in ("sync", "status", "shipper"):
        done = world.matih(command, KAFKA_SECURITY_PROTOCOL="TLS")
        assert done.returncode == 2, command
        assert done.stderr.startswith("matih: KAFKA_SECURITY_PROTOCOL")


def test_status_lists_what_there_is(world):
    alive, ended, dead, newer = (Trainer(world.spool) for _ in range(4))
    for trainer in (alive, ended, dead):
        trainer.log(10)
    ended.end()
    dead.vanish()
    newer.journal.append(b"x")
    newer.end()
    segment = next(newer.journal.path.glob("*.seg"))
    segment.write_bytes(b"no header" + segment.read_bytes()[9:])
    report = json.loads(world.matih("status", "--json").stdout)
    assert report["spool"] == str(world.spool)
    assert report["shipper"] == {"state": "none", "error": None}
    address = {"kind": "kafka", "address": world.brokers, "topic": world.topic}
    assert report["broker"] == {**address, "reachable": True, "error": None}
    found = {item["path"]: (item["state"], item["entries"], item["acked"], item["lag"]) for item in report["journals"]}
    assert found == {
        str(alive.journal.path): ("open", len(alive.said), 0, len(alive.said)),
        str(ended.journal.path): ("ended", len(ended.said), 0, len(ended.said)),
        str(dead.journal.path): ("dead", len(dead.said), 0, len(dead.said)),
        str(newer.journal.path): ("unreadable", 0, 0, 0),
    }
    assert all(item["bytes"] > 0 for item in report["journals"] if item["state"] != "unreadable")
    shipper = world.start_shipper()
    until(lambda: alive.journal.acked() == len(alive.said), "it is delivered")
    told = until(
        lambda: (it := json.loads(world.matih("status", "--json").stdout)["shipper"])["entries"] and it, "it is told"
    )
    assert (told["pid"], told["state"]) == (shipper.pid, "delivering")
    people = world.matih("status").stdout
    assert str(world.spool) in people
    assert "reachable" in people


def test_status_with_no_broker(world):
    done = world.matih("status", "--json", KAFKA_BOOTSTRAP_SERVERS=NO_KAFKA)
    assert done.returncode == 0
    assert json.loads(done.stdout)["broker"]["reachable"] is False


def test_settings_of_tracker_and_shipper_lead_to_one_spool(world):
    """The base is the environment's: what the tracker would open is what the shipper carries."""
    assert str(world.spool).startswith(str(SpoolSettings(base=world.base).base))
    assert json.loads(world.matih("status", "--json").stdout)["spool"] == str(world.spool)
