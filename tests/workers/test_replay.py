"""`matih replay` on real Kafka and databases: fill, full, killed and resumed, and the proof by MLflow's API."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.entities import ViewType
from tests.audit.world import archive_of
from tests.waiting import until
from tests.workers.dumps import dump
from tests.workers.journals import START, Entry, Producer, experiment_event
from tests.workers.test_dlq import admin_actions
from tests.workers.views import SqlBench

from matih_kafka.publisher import Record
from matih_kafka.reading import delete_before, topic_reader
from matih_schemas import events, identity, tags
from matih_workers.audit.access_log import accesses
from matih_workers.audit.storage import LocalFolder
from matih_workers.replay.access import Access
from matih_workers.replay.selection import Selection
from matih_workers.replay.session import NotEmpty, Order, Session
from matih_workers.replay.verifying import verified
from matih_workers.settings import WorkerSettings, make_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workers.pipe import Pipe


def command(*arguments: str) -> list[str]:
    reason = ["--reason", "a test"] if "--yes" in arguments else []
    return [sys.executable, "-m", "matih_console.main", "replay", *arguments, *reason, "--json"]


def replay(pipe: Pipe, *arguments: str, uri: str | None = None, code: int = 0) -> dict[str, Any]:
    """The report of one command."""
    environment = pipe.environment(MATIH_STORE_URI=uri or pipe.store_uri)
    done = subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr + done.stdout
    begun = "--yes" in arguments and (code == 0 or "--missing" in arguments)
    pipe.published += begun and "--unrecorded" not in arguments  # the event that records it
    return json.loads(done.stdout) if done.stdout else {"error": done.stderr}  # type: ignore[no-any-return]


def positions(uri: str) -> dict[str, Any]:
    """How far every partition is applied, without the moments at which that was."""
    found = [experiment.tags for experiment in MlflowClient(uri).search_experiments(view_type=ViewType.ALL)]
    noted = {key: value for stored in found for key, value in stored.items() if key.startswith("matih.position.")}
    return {key: {**json.loads(value), "times": None} for key, value in noted.items()}


def without_notes(seen: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in seen.items() if key != tags.FILLED}


def history(tenant: str = "acme") -> list[Producer]:
    """Producers of three runs in two experiments."""
    name = f"replay-{secrets.token_hex(6)}"
    return [Producer(tenant=tenant, experiment=f"{name}-{number % 2}") for number in range(3)]


def whole(who: Producer, steps: int = 4) -> list[events.TrackingEvent]:
    logged = [
        who.log(Entry({"loss": i / 10, "acc": i}, {f"p{i}": "v"}, {"last": str(i)}, i, START + i)) for i in range(steps)
    ]
    return [who.created(run_name="baseline", tags={"team": "a"}), *logged, who.ended()]


def published(pipe: Pipe) -> list[Producer]:
    """Runs of all kinds, a poisoned record and a renamed, deleted and restored experiment, applied by a worker."""
    who = history()
    identifier = identity.experiment_id("acme", who[1].experiment)
    for one in who:
        pipe.publish(whole(one))
    pipe.start()
    pipe.settled()  # where MLflow has no experiment yet, no position can be noted
    pipe.publish_records([Record(b"acme/garbage", b"no event")])
    pipe.publish([experiment_event("acme", events.ExperimentUpdated(identifier, name=f"{who[1].experiment}-new"))])
    pipe.publish([who[2].deleted()])
    pipe.settled()
    assert pipe.end() == 0
    return who


def test_fill_changes_nothing_where_all_is_there_and_makes_what_is_missing(postgres_pipe: Pipe, empty_uri: str) -> None:
    who = published(postgres_pipe)
    client = MlflowClient(postgres_pipe.store_uri)
    (edited,) = SqlBench(postgres_pipe.store_uri).runs(who[0].run_id)
    client.set_tag(edited.info.run_id, "last", "edited")
    before = dump(postgres_pipe.store_uri)

    dry = survey(postgres_pipe, postgres_pipe.store_uri)
    assert (dry["mode"], dry["runs"], dry["runs_missing"], dry["by_tenant"]) == (
        "fill",
        3,
        0,
        {"acme": postgres_pipe.published},
    )
    assert dry["by_kind"] == {
        "RunLogged": 12,
        "RunCreated": 3,
        "RunEnded": 3,
        "(unreadable)": 1,
        "ExperimentUpdated": 1,
        "RunDeleted": 1,
    }
    done = run(postgres_pipe, postgres_pipe.store_uri)
    assert (done["seen"], done["metrics"], done["refused"]) == (postgres_pipe.published, 24, {"malformed": 1})
    assert dump(postgres_pipe.store_uri) == before

    assert run(postgres_pipe, empty_uri, runs=frozenset({who[0].run_id}))["metrics"] == 8
    filled, old = SqlBench(empty_uri).view(who[0].run_id), SqlBench(postgres_pipe.store_uri).view(who[0].run_id)
    assert filled is not None
    assert old is not None
    filled.tags, old.tags["last"] = without_notes(filled.tags), "3"
    assert filled == old
    assert SqlBench(empty_uri).view(who[1].run_id) is None
    by_experiment = survey(postgres_pipe, empty_uri, experiments=frozenset({who[1].experiment}))
    assert (by_experiment["runs"], by_experiment["runs_missing"]) == (1, 1)
    assert survey(postgres_pipe, empty_uri, tenants=frozenset({"other"}))["events"] == 0
    assert survey(postgres_pipe, empty_uri, since=START, kinds=frozenset({"RunEnded"}))["events"] == 3
    assert survey(postgres_pipe, empty_uri, until=START)["events"] == 0
    assert not postgres_pipe.dead_letters()[1:]  # the worker's own for the garbage; a replay makes none


def test_what_kafka_has_no_more_comes_from_the_archive(postgres_pipe: Pipe, empty_uri: str) -> None:
    who = published(postgres_pipe)
    archive, archived = archive_of(postgres_pipe), ends(postgres_pipe)
    later = whole(Producer(tenant="acme", experiment=who[0].experiment))
    postgres_pipe.publish(later[:2])
    asyncio.run(delete_before(postgres_pipe.settings, postgres_pipe.topic, archived))
    assert survey(postgres_pipe, empty_uri)["events"] == 2, "Kafka still has what has to come from the archive"
    published_before = postgres_pipe.published
    done = replay(postgres_pipe, "--full", "--yes", "--archive", str(archive), uri=empty_uri)
    assert (done["seen"], done["refused"]) == (published_before, {"malformed": 1})
    (noted,) = accesses(LocalFolder(archive))
    assert (noted["command"], noted["rows"], noted["outcome"]) == ("replay", sum(archived.values()), "done")
    for one in who:
        assert SqlBench(empty_uri).view(one.run_id) == SqlBench(postgres_pipe.store_uri).view(one.run_id)


def ends(pipe: Pipe) -> dict[int, int]:
    """The partitions' ends."""

    async def found() -> dict[int, int]:
        async with topic_reader(pipe.settings) as reader:
            return await reader.ends(pipe.topic)

    return asyncio.run(found())


def test_no_archive_is_told_in_one_line(postgres_pipe: Pipe, empty_uri: str, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "checkpoint").write_text("nothing")
    error = replay(postgres_pipe, "--archive", str(tmp_path), uri=empty_uri, code=1)["error"]
    assert "archive" in error
    assert str(tmp_path) in error
    assert "Traceback" not in error


def test_a_full_rebuild_is_equal_and_says_what_people_did_and_what_is_lost(postgres_pipe: Pipe, empty_uri: str) -> None:
    who = published(postgres_pipe)
    with pytest.raises(NotEmpty):
        asyncio.run(session(postgres_pipe, postgres_pipe.store_uri).run(Order("full"), lambda _: lambda _: None))
    done = replay(postgres_pipe, "--full", "--yes", "--verify", "--against", postgres_pipe.store_uri, uri=empty_uri)
    assert done["refused"] == {"malformed": 1}
    proof = done["verify"]
    assert (proof["differences"], proof["edits"], proof["findings"]) == (0, 0, [])
    assert (proof["experiments"], proof["runs"], proof["metrics"]) == (2, 3, 24)
    (recorded,) = admin_actions(postgres_pipe)
    details = {"mode": "full", "store": empty_uri}
    assert (recorded.tenant_id, recorded.payload) == (
        identity.DEPLOYMENT,
        events.AdminAction("replay", "a test", f"store {empty_uri}", details),
    )
    rebuilt = SqlBench(empty_uri)
    for one in who:
        assert rebuilt.view(one.run_id) == SqlBench(postgres_pipe.store_uri).view(one.run_id)
    noted = positions(empty_uri)
    assert noted
    assert noted == positions(postgres_pipe.store_uri)

    old, new = MlflowClient(postgres_pipe.store_uri), SqlBench(empty_uri)
    (edited,) = SqlBench(postgres_pipe.store_uri).runs(who[0].run_id)
    old.set_tag(edited.info.run_id, "last", "edited")
    old.log_metric(edited.info.run_id, "mine", 1.0, START, 0)
    old.create_run("0")
    (gone,) = new.runs(who[1].run_id)
    verified = verify(postgres_pipe, empty_uri)
    assert {(row["cause"], row["what"]) for row in verified["findings"]} == {
        ("edited in MLflow", "tag last"),
        ("edited in MLflow", "metric mine"),
        ("edited in MLflow", "the whole"),
    }
    engine = sa.create_engine(postgres_pipe.store_uri.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM metrics WHERE step = 2"))
    engine.dispose()
    engine = sa.create_engine(empty_uri)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM params WHERE run_uuid = :run"), {"run": gone.info.run_id})
    engine.dispose()
    verified = verify(postgres_pipe, empty_uri)
    assert verified["differences"] == 6 + 4  # points that the old one lost, and params that the new one did


def session(pipe: Pipe, uri: str) -> Session:
    """What the command makes of its environment, in this process: as a command it takes seconds to start."""
    settings = WorkerSettings(store_uri=uri)
    return Session(Access(pipe.settings, settings, make_store(settings)))


def survey(pipe: Pipe, uri: str, **selected: Any) -> dict[str, Any]:
    """What would be filled."""
    order = Order(selection=Selection(**selected))
    return asyncio.run(session(pipe, uri).survey(order, lambda _: lambda _: None))


def run(pipe: Pipe, uri: str, **selected: Any) -> dict[str, Any]:
    """A fill."""
    return asyncio.run(session(pipe, uri).run(Order(selection=Selection(**selected)), lambda _: lambda _: None))


def verify(pipe: Pipe, uri: str) -> dict[str, Any]:
    """The comparison alone."""
    return asyncio.run(verified(session(pipe, uri), old=pipe.store_uri, new=uri))


@pytest.mark.parametrize("mode", ["fill", pytest.param("full", marks=pytest.mark.soak)])
def test_killed_and_started_again_it_goes_on(postgres_pipe: Pipe, empty_uri: str, mode: str, tmp_path: Path) -> None:
    who = history()
    for one in who:
        postgres_pipe.publish(whole(one, steps=60))
    arguments = ["--yes", *(["--full"] if mode == "full" else [])]
    bench = SqlBench(empty_uri)
    for _ in range(2):
        with (tmp_path / "killed.log").open("wb") as log:
            process = subprocess.Popen(
                command(*arguments, "--rate", "40"),
                env=postgres_pipe.environment(MATIH_STORE_URI=empty_uri),
                stderr=log,
            )
        before = points(bench, who)
        until(lambda before=before: points(bench, who) > before + 100, "some of it is there")
        process.kill()
        process.wait()
        postgres_pipe.published += 1
    done = replay(postgres_pipe, *arguments, uri=empty_uri)
    assert done["resumed"]
    assert 0 < done["seen"] < postgres_pipe.published
    postgres_pipe.start()
    postgres_pipe.settled()
    for one in who:
        clean, found = SqlBench(postgres_pipe.store_uri).view(one.run_id), bench.view(one.run_id)
        assert clean is not None
        assert found is not None
        found.tags = without_notes(found.tags)
        assert found == clean
        assert found.latest == clean.latest
    again = replay(postgres_pipe, *arguments, uri=empty_uri, code=1 if mode == "full" else 0)
    if mode == "full":
        assert "empty" in again["error"]
    else:
        assert (again["resumed"], again["seen"]) == (False, postgres_pipe.published - 1)


def points(bench: SqlBench, who: list[Producer]) -> int:
    return sum(len(seen.points) for one in who if (seen := bench.view(one.run_id)) is not None)
