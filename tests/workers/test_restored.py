"""A database put back to a backup, and a topic made anew: the worker says so, and `matih replay --missing` mends it."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from mlflow import MlflowClient
from tests.waiting import until
from tests.workers.journals import START, Entry, Producer, experiment_event
from tests.workers.pipe import Pipe
from tests.workers.views import SqlBench

from matih_kafka.admin import create_topics
from matih_kafka.reading import delete_before
from matih_kafka.topic_ids import topic_id
from matih_local import mlflow_schema
from matih_schemas import codec, events, identity
from matih_schemas.identity import partition_of
from matih_schemas.topics import catalogue
from matih_workers.positions import Source
from matih_workers.records import Received
from matih_workers.replay.access import Access
from matih_workers.replay.restoring import Restoring
from matih_workers.settings import WorkerSettings, make_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matih_schemas.events import TrackingEvent


@pytest.fixture
def pipe(request: pytest.FixtureRequest, kafka: str, events_topic: str, tmp_path: Path) -> Iterator[Pipe]:
    """A topic and an SQLite of its own; the parameter is the kind of store."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    pipe = Pipe(kafka, events_topic, uri, tmp_path)
    pipe.settled_by = {"MATIH_STORE": request.param}
    yield pipe
    pipe.close()


def entries(*steps: int) -> list[Entry]:
    return [Entry({"loss": step / 10}, {f"p{step}": "v"}, {"last": str(step)}, step, START + step) for step in steps]


def started(pipe: Pipe) -> None:
    pipe.start(**pipe.settled_by)
    pipe.settled()
    until(lambda: pipe.page("/status"), "the worker's report")


def worked(pipe: Pipe) -> list[str]:
    """Lets a worker take all that is published, and end; what it warned of."""
    started(pipe)
    warnings = pipe.status()["warnings"]
    assert pipe.end() == 0
    return warnings  # type: ignore[no-any-return]


def restoring(pipe: Pipe, archives: dict[str, MemorySource] | None = None) -> Restoring:
    """What `matih replay` makes of its environment, in this process: as a command it takes seconds to start."""
    kind: Any = pipe.settled_by["MATIH_STORE"]
    settings = WorkerSettings(store_uri=pipe.store_uri, store=kind, worker_group=f"group-{pipe.topic}")
    access = Access(pipe.settings, settings, make_store(settings), lambda which: (archives or {}).get(which.topic_id))
    return Restoring(access)


def missing(pipe: Pipe) -> dict[str, Any]:
    return asyncio.run(restoring(pipe).missing())


def brought(pipe: Pipe, *, give_up: bool = False, **archives: MemorySource) -> dict[str, Any]:
    return asyncio.run(restoring(pipe, archives).mend(None, lambda _: lambda _: None, give_up=give_up))


def mended(pipe: Pipe, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What the command `matih replay --missing` reports."""
    reason = ["--reason", "a backup was restored"] if "--yes" in arguments else []
    done = subprocess.run(
        [sys.executable, "-m", "matih_console.main", "replay", "--missing", *arguments, *reason, "--json"],
        env=pipe.environment(**pipe.settled_by),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("pipe", ["sql", pytest.param("client", marks=pytest.mark.soak)], indirect=True)
def test_a_database_put_back_to_a_backup(pipe: Pipe, tmp_path: Path) -> None:
    who, other = (Producer(tenant="acme", experiment=f"backup-{secrets.token_hex(6)}") for _ in range(2))
    identifier = identity.experiment_id("acme", other.experiment)
    pipe.publish([who.created(), who.log(*entries(0, 1))])
    assert worked(pipe) == []
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "backup.db")
    pipe.publish([who.log(*entries(2, 3)), who.log(*entries(4)), who.deleted()])
    pipe.publish([other.created(), other.log(*entries(0))])
    pipe.publish([experiment_event("acme", events.ExperimentUpdated(identifier, tags={"stage": "old"}))])
    pipe.publish([who.restored()])
    assert worked(pipe) == []
    shutil.copy(tmp_path / "backup.db", tmp_path / "mlflow.db")
    # The worker goes on: what follows of a run of the backup is applied, of a run made since it is refused.
    pipe.publish([who.restored(), who.log(*entries(5)), who.ended()])
    pipe.publish([other.log(*entries(1)), other.ended()])
    started(pipe)
    warnings = pipe.status()["warnings"]
    partition = partition_of(f"acme/{who.run_id}".encode(), catalogue(pipe.topic)[0].partitions)
    (warning,) = [one for one in warnings if one.startswith(f"{pipe.topic}/{partition}: ")]
    assert "has not seen the events 2 to " in warning
    assert "`matih replay --missing`" in warning
    assert points(pipe, who) == {0, 1, 5}

    dry = missing(pipe)
    assert (dry["missing"], dry["lost"], dry["dry_run"]) == (7, {}, True)
    assert points(pipe, who) == {0, 1, 5}
    done = brought(pipe)
    assert (done["missing"], done["refused"], done["left"]) == (7, {}, {})
    assert points(pipe, who) == {0, 1, 2, 3, 4, 5}
    assert points(pipe, other) == {0, 1}
    bench = SqlBench(pipe.store_uri)
    seen, late = bench.view(who.run_id), bench.view(other.run_id)
    assert seen is not None
    assert late is not None
    assert (seen.tags["last"], seen.params) == ("5", {f"p{step}": "v" for step in range(6)})
    assert (seen.status, seen.deleted, late.status, late.tags["last"]) == ("FINISHED", False, "FINISHED", "1")
    assert bench.experiment_tags("acme", other.experiment)["stage"] == "old"
    # The worker hears of it although nothing more comes, and what it writes next brings the gaps not back.
    until(lambda: not pipe.status()["warnings"], "the warnings are gone")
    pipe.publish([who.log(*entries(6))])
    pipe.settled()
    assert pipe.status()["warnings"] == []
    assert pipe.end() == 0
    assert missing(pipe)["missing"] == 0


@pytest.mark.parametrize("pipe", ["sql"], indirect=True)
@pytest.mark.soak
def test_a_backup_before_anything_new_has_come(pipe: Pipe, tmp_path: Path) -> None:
    """No position tells of a gap yet: what the workers have acknowledged does. And what Kafka has no more is told."""
    who = Producer(tenant="acme", experiment=f"backup-{secrets.token_hex(6)}")
    assert MlflowClient(pipe.store_uri).get_experiment("0").name == "Default"  # its tags hold the positions
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "backup.db")
    pipe.publish([who.created(), *(who.log(*entries(step)) for step in range(4))])
    assert worked(pipe) == []
    shutil.copy(tmp_path / "backup.db", tmp_path / "mlflow.db")
    assert brought(pipe)["missing"] == 5
    assert points(pipe, who) == {0, 1, 2, 3}

    shutil.copy(tmp_path / "backup.db", tmp_path / "mlflow.db")
    partition = partition_of(f"acme/{who.run_id}".encode(), catalogue(pipe.topic)[0].partitions)
    asyncio.run(delete_before(pipe.settings, pipe.topic, {partition: 2}))
    done = mended(pipe, "--yes", code=1)
    assert (done["missing"], done["lost"], done["left"]) == (3, {str(partition): "0 to 1"}, {str(partition): "0 to 1"})
    assert done["refused"] == {"unknown_run": 3}
    assert brought(pipe, give_up=True)["given_up"]
    assert mended(pipe)["lost"] == {}


def points(pipe: Pipe, who: Producer) -> set[int]:
    seen = SqlBench(pipe.store_uri).view(who.run_id)
    assert seen is not None
    return {step for *_, step in seen.points}


@pytest.mark.parametrize("pipe", ["sql"], indirect=True)
def test_a_topic_made_anew(pipe: Pipe) -> None:
    who = Producer(tenant="acme", experiment=f"anew-{secrets.token_hex(6)}")
    pipe.publish([who.created(), who.log(*entries(0, 1))])
    assert worked(pipe) == []
    old = asyncio.run(topic_id(pipe.settings, pipe.topic))
    asyncio.run(made_anew(pipe))
    new = asyncio.run(topic_id(pipe.settings, pipe.topic))
    assert (old.cluster_id, old.name) == (new.cluster_id, new.name)
    assert old.topic_id != new.topic_id
    pipe.published = 0
    pipe.publish([who.log(*entries(2))])
    started(pipe)
    (warning,) = pipe.status()["warnings"]
    assert "made anew" in warning
    assert old.topic_id in warning
    assert points(pipe, who) == {0, 1, 2}

    # An archive of the old topic has two events more than were applied, and a run where the store never had any.
    other = on_another_partition(pipe, who)
    held = [who.log(*entries(3)), who.ended(), other.created(), other.log(*entries(7))]
    archive = MemorySource(Source(old.cluster_id, old.topic_id, old.name), held, 2)
    done = brought(pipe, **{old.topic_id: archive})
    assert (done["former_left"], done["events"] - done["retries"]) == ([], 5)
    assert (points(pipe, who), points(pipe, other)) == ({0, 1, 2, 3}, {7})
    until(lambda: not pipe.status()["warnings"], "the warnings are gone")
    assert pipe.end() == 0
    assert missing(pipe)["former_topics"] == {}


def on_another_partition(pipe: Pipe, who: Producer) -> Producer:
    while True:
        found = Producer(tenant="acme", experiment=who.experiment)
        keys = (f"acme/{one.run_id}".encode() for one in (who, found))
        if len({partition_of(key, catalogue(pipe.topic)[0].partitions) for key in keys}) == 2:
            return found


class MemorySource:
    """A source of records, as an archive is one."""

    def __init__(self, topic: Source, published: Iterable[TrackingEvent], first: int) -> None:
        self.topic = topic
        self.stored: dict[int, list[Received]] = {}
        for event in published:
            key = codec.event_key(event)
            partition = partition_of(key, catalogue(topic.topic)[0].partitions)
            some = self.stored.setdefault(partition, [])
            some.append(Received(topic.topic, partition, first + len(some), key, codec.encode(event)))

    async def held(self) -> dict[int, tuple[range, ...]]:
        return {number: (range(some[0].offset, some[-1].offset + 1),) for number, some in self.stored.items()}

    def records(self, wanted: Mapping[int, tuple[range, ...]]) -> dict[int, AsyncIterator[Sequence[Received]]]:
        return {number: self._part(number, ranges) for number, ranges in wanted.items()}

    async def _part(self, number: int, ranges: tuple[range, ...]) -> AsyncIterator[Sequence[Received]]:
        for one in self.stored.get(number, []):
            if any(one.offset in some for some in ranges):
                yield [one]


async def made_anew(pipe: Pipe) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipe.brokers)
    await admin.start()
    await admin.delete_topics([pipe.topic])
    await admin.close()
    for _ in range(100):
        try:
            if (await create_topics(pipe.settings, catalogue(pipe.topic)))[pipe.topic] == "created":
                return
        except Exception:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError("the topic was not made anew")
