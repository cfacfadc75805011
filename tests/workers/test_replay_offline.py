"""`matih replay --offline`: Kafka is gone, and the archive has it all."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient
from tests.audit.test_recovery import KEY
from tests.audit.world import archive_of
from tests.waiting import until
from tests.workers.journals import Producer, experiment_event
from tests.workers.test_replay import history, points, positions, published, replay, whole, without_notes
from tests.workers.views import SqlBench

from matih_console.main import main
from matih_local import mlflow_schema
from matih_schemas import codec, events, identity
from matih_schemas.topics import catalogue, dead_letter_name
from matih_workers.audit.access_log import accesses
from matih_workers.audit.batch import Batch, Topic
from matih_workers.audit.log import LogWriter
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.record import ArchivedRecord
from matih_workers.audit.storage import LocalFolder
from matih_workers.replay.offline import OfflineAccess
from matih_workers.replay.session import Order, Session
from matih_workers.replay.verifying import verified
from matih_workers.settings import WorkerSettings, make_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.workers.pipe import Pipe

    from matih_schemas.events import TrackingEvent

NAME = "test.gone.events.v1"
# The older one's id sorts behind.
TOPICS = (Topic("cluster", "b", NAME), Topic("cluster", "a", NAME))
LETTERS = Topic("cluster", "c", dead_letter_name(NAME))
RECEIVED = 1_750_000_000_000


def archived(storage: LocalFolder, topic: Topic, published: Sequence[TrackingEvent], received: int) -> None:
    """Archives events as if a topic had them, one received a millisecond after the other."""
    writer = LogWriter(storage, KEY)
    batch, parts = Batch([topic], writer.state), dict[int, list[ArchivedRecord]]()
    for number, event in enumerate(published):
        key, headers = codec.event_key(event), tuple(codec.headers(event))
        some = parts.setdefault(identity.partition_of(key, catalogue(NAME)[0].partitions), [])
        some.append(ArchivedRecord(len(some), received + number, 1, key, codec.encode(event), headers))
    for number, records in parts.items():
        batch.add(topic.partition(number), records)
    storage.write(batch.files())
    writer.commit(batch.entries())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def who(archive: Path) -> list[Producer]:
    """Runs that began on a topic which was made anew before they ended; and letters, which are not for a replay."""
    producers, storage = history(), LocalFolder(archive)
    first, second = list[Any](), list[Any]()
    for one in producers:
        made = whole(one, steps=60)
        first += made[:30]
        second += made[30:]
    archived(storage, TOPICS[0], first, RECEIVED)
    archived(storage, LETTERS, second[:5], RECEIVED)
    archived(storage, TOPICS[1], second, RECEIVED + 100_000)
    return producers


def environment(archive: Path, uri: str, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": "",
        "MATIH_EVENTS_TOPIC": NAME,
        "MATIH_AUDIT_ARCHIVE": str(archive),
        "MATIH_STORE_URI": uri,
        "MATIH_WORKER_DATADIR": str(folder / "state"),
    }


def run(environment: dict[str, str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """The report of one command, in this process: as a command it takes seconds to start."""
    os.environ.update(environment)
    with (
        redirect_stdout(io.StringIO()) as said,
        redirect_stderr(io.StringIO()) as told,
        pytest.MonkeyPatch.context() as p,
    ):
        p.setattr("matih_workers.replay.cli.settle_interpreter", lambda: None)
        result = main(["replay", "--offline", *arguments, "--json"])
    assert result == code, told.getvalue() + said.getvalue()
    return json.loads(said.getvalue()) if said.getvalue() else {"error": told.getvalue()}  # type: ignore[no-any-return]


def at_one_go(archive: Path, folder: Path, order: Order) -> tuple[SqlBench, dict[str, Any]]:
    """What a replay that nobody interrupts makes."""
    folder.mkdir()
    uri = f"sqlite:///{folder / 'clean.db'}"
    mlflow_schema.main(uri)
    settings = WorkerSettings(store_uri=uri)
    access = OfflineAccess(ArchiveReader(LocalFolder(archive)), NAME, settings, make_store(settings), folder)
    return SqlBench(uri), asyncio.run(Session(access).run(order, lambda _: lambda _: None))


@pytest.mark.soak
def test_a_rebuild_without_kafka_is_equal(postgres_pipe: Pipe, empty_uri: str) -> None:
    who = published(postgres_pipe)
    archive = str(archive_of(postgres_pipe))
    postgres_pipe.brokers = "127.0.0.1:1"
    proved = ["--full", "--yes", "--verify", "--against", postgres_pipe.store_uri]
    offline = [*proved, "--offline", "--archive", archive]
    told = replay(postgres_pipe, *offline, uri=empty_uri, code=1)["error"]
    assert "nothing was done" in told
    assert "--unrecorded does it all the same" in told
    done = replay(postgres_pipe, *offline, "--unrecorded", uri=empty_uri)
    assert (done["seen"], done["refused"]) == (postgres_pipe.published, {"malformed": 1})
    assert (done["verify"]["differences"], done["verify"]["findings"], done["verify"]["metrics"]) == (0, [], 24)
    for one in who:
        assert SqlBench(empty_uri).view(one.run_id) == SqlBench(postgres_pipe.store_uri).view(one.run_id)
    assert positions(empty_uri) == positions(postgres_pipe.store_uri)


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["full", pytest.param("fill", marks=pytest.mark.soak)])
def test_killed_and_started_again_it_goes_on_through_all_topics(
    who: list[Producer], archive: Path, empty_uri: str, mode: str, tmp_path: Path
) -> None:
    clean, whole_go = at_one_go(archive, tmp_path / "clean", Order("full" if mode == "full" else "fill"))
    assert whole_go["former_topics"] == ["b"]
    assert whole_go["seen"] == sum(len(one.entries) + 2 for one in who)
    bench, surroundings = SqlBench(empty_uri), environment(archive, empty_uri, tmp_path)
    arguments = ["--yes", "--reason", "Kafka is gone", *(["--full"] if mode == "full" else [])]
    for some in (60, 200):  # of 174 points in the first topic, and 360 in all
        with (tmp_path / "killed.log").open("wb") as log:
            words = [sys.executable, "-m", "matih_console.main", "replay", "--offline", *arguments, "--rate", "25"]
            process = subprocess.Popen(words, env=surroundings, stderr=log)
        until(lambda some=some: points(bench, who) > some, "some of it is there")
        process.kill()
        process.wait()
    done = run(surroundings, *arguments)
    assert done["resumed"]
    assert 0 < done["seen"] < whole_go["seen"]
    for one in who:
        found, expected = bench.view(one.run_id), clean.view(one.run_id)
        assert found is not None
        assert expected is not None
        found.tags, expected.tags = without_notes(found.tags), without_notes(expected.tags)
        assert (found.status, found) == ("FINISHED", expected)
        assert found.latest == expected.latest
    assert positions(empty_uri) == positions(clean.uri)
    assert not list((tmp_path / "state" / "replay").iterdir()), "the next one begins anew"


def test_that_it_reads_the_archive_is_noted(who: list[Producer], archive: Path, empty_uri: str, tmp_path: Path) -> None:
    surroundings = environment(archive, empty_uri, tmp_path)
    run(surroundings, "--run", who[0].run_id)
    run(surroundings | {"MATIH_EVENTS_TOPIC": "another.events.v1"}, code=1)
    done, failed = accesses(LocalFolder(archive))
    assert (done["command"], done["outcome"], done["asked"]) == (
        "replay",
        "done",
        {"offline": True, "run": [who[0].run_id]},
    )
    assert done["rows"] >= sum(len(one.entries) + 2 for one in who)
    assert (failed["command"], failed["rows"], failed["outcome"]) == ("replay", 0, "CommandFailed")
    run(surroundings | {"MATIH_AUDIT_ARCHIVE": str(tmp_path / "slip")}, code=1)
    assert not (tmp_path / "slip").exists()


def proof(archive: Path, old: SqlBench, new: str) -> tuple[int, set[tuple[str, str]]]:
    """How many differences the comparison finds, and all that differs of experiments."""
    settings = WorkerSettings(store_uri=new)
    access = OfflineAccess(ArchiveReader(LocalFolder(archive)), NAME, settings, make_store(settings), archive)
    found = asyncio.run(verified(Session(access), old=old.uri, new=new))
    return found["differences"], {
        (row["cause"], row["what"]) for row in found["findings"] if row["of"].startswith("experiment")
    }


def test_the_proof_sees_an_experiment_that_is_not_what_the_events_say(archive: Path, tmp_path: Path) -> None:
    one = Producer(tenant="acme")
    renamed = events.ExperimentUpdated(identity.experiment_id("acme", one.experiment), "new", tags={"team": "b"})
    archived(LocalFolder(archive), TOPICS[1], [*whole(one), experiment_event("acme", renamed)], RECEIVED)
    old, new = (at_one_go(archive, tmp_path / name, Order("full"))[0] for name in ("old", "new"))
    assert proof(archive, old, new.uri) == (0, set())
    (home,) = {run.info.experiment_id for run in old.runs(one.run_id)}
    MlflowClient(old.uri).rename_experiment(home, "acme/edited")
    MlflowClient(old.uri).set_experiment_tag(home, "mine", "1")
    edits = {("edited in MLflow", "name"), ("edited in MLflow", "tag mine")}
    assert proof(archive, old, new.uri) == (0, edits)
    MlflowClient(new.uri).set_experiment_tag(home, "team", "c")
    MlflowClient(new.uri).delete_experiment(home)
    wrong = {("difference", "tag team"), ("difference", "deleted")}
    differences, found = proof(archive, old, new.uri)
    assert found == edits | wrong
    assert differences >= 2
    nothing = f"sqlite:///{tmp_path / 'nothing.db'}"
    mlflow_schema.main(nothing)
    assert proof(archive, old, nothing) == (2, {("difference", "the whole")}), "the experiment and its run"


def test_wrong_use_is_told(who: list[Producer], archive: Path, empty_uri: str, tmp_path: Path) -> None:
    surroundings = environment(archive, empty_uri, tmp_path)
    assert "needs Kafka" in run(surroundings, "--missing", code=2)["error"]
    assert "add --reason TEXT" in run(surroundings, "--yes", code=2)["error"]
    assert "which archive" in run(surroundings | {"MATIH_AUDIT_ARCHIVE": ""}, code=2)["error"]
    told = run(surroundings | {"MATIH_EVENTS_TOPIC": "another.events.v1"}, code=1)["error"]
    assert f"another.events.v1 is not in the archive, which has {dead_letter_name(NAME)}, {NAME}" in told
    dry = run(surroundings, "--run", who[0].run_id)
    assert (dry["events"], dry["runs_missing"]) == (62, 1)
