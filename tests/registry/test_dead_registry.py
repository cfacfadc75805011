"""A registry that is gone stops nothing that was known before, on real servers, restarts included."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.audit.world import archive_of
from tests.shipper.world import World, by_producer, written_by
from tests.shipper.writing import Trainer
from tests.waiting import until
from tests.workers.journals import START, Entry, Producer
from tests.workers.pipe import Pipe, reason
from tests.workers.views import SqlBench

from matih_console.main import main
from matih_kafka.publisher import Record
from matih_kafka.registry.client import RegistryClient
from matih_kafka.registry.settings import RegistrySettings
from matih_local import mlflow_schema
from matih_schemas import codec, schema
from matih_tracking.shipper import state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.registry.topic import ConfluentTopic

    from matih_local.system import LocalSystem


@pytest.fixture
def world(confluent: ConfluentTopic, tmp_path: Path) -> Iterator[World]:
    """A spool for the topic."""
    world = World(confluent.brokers, confluent.name, tmp_path)
    yield world
    world.close()


@pytest.fixture
def pipe(confluent: ConfluentTopic, tmp_path: Path) -> Iterator[Pipe]:
    """A worker for the topic."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    pipe = Pipe(confluent.brokers, confluent.name, uri, tmp_path)
    yield pipe
    pipe.close()


def ship(world: World, trainer: Trainer) -> None:
    """Starts a shipper, has it deliver all that the trainer says, and ends it."""
    shipper = world.start_shipper("--forever")
    trainer.log(50)
    until(lambda: world.acked(trainer) == len(trainer.said), "all is on Kafka")
    shipper.kill()
    shipper.wait()


def test_a_shipper_goes_on_while_the_registry_is_killed_after_a_restart_too(
    confluent: ConfluentTopic, world: World, registry_system: LocalSystem
) -> None:
    trainer = Trainer(world.spool)
    ship(world, trainer)
    registry_system.kill("schema-registry")
    ship(world, trainer)
    trainer.end()
    world.start_shipper()
    until(world.is_empty, "everything is delivered and removed")
    records = asyncio.run(confluent.records())
    assert {record.value[:1] for record in records} == {b"\0"}
    assert {dict(record.headers)["ce_dataschema"] for record in records} == {codec.data_schema()[1]}
    assert by_producer(confluent.events()) == written_by(trainer)


def test_a_shipper_that_has_never_been_told_the_id_keeps_everything_until_it_is(
    confluent: ConfluentTopic, world: World
) -> None:
    confluent.door.shut()
    trainer = Trainer(world.spool)
    trainer.log(20)
    world.start_shipper("--forever")
    told = until(lambda: (found := state.read(world.spool)) and found.error and found, "it says why it waits")
    assert told.state == "waiting"
    assert confluent.registry in told.error
    assert asyncio.run(confluent.records()) == []
    confluent.door.open()
    until(lambda: world.acked(trainer) == len(trainer.said), "all is on Kafka")
    assert {record.value[:1] for record in asyncio.run(confluent.records())} == {b"\0"}
    assert by_producer(confluent.events()) == written_by(trainer)
    trainer.end()


def some(tenant: str, count: int = 3) -> list:
    """A run's events."""
    who = Producer(tenant=tenant, experiment="framed")
    entries = [Entry({"loss": step / 10}, step=step, time=START + step) for step in range(count)]
    return [who.created(), *(who.log(entry) for entry in entries), who.ended()]


@pytest.mark.soak
def test_both_framings_on_one_topic_are_ingested_archived_and_replayed_without_the_registry(
    confluent: ConfluentTopic,
    pipe: Pipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs, plain, late = (some(tenant) for tenant in ("ours", "theirs", "plain", "late"))
    confluent.publish(ours)
    confluent.publish(theirs, headers=False)
    pipe.publish(plain)
    pipe.published += len(ours) + len(theirs)
    pipe.start()
    pipe.settled()
    assert pipe.dead_letters() == []
    assert pipe.end() == 0
    confluent.door.shut()
    confluent.publish(late, headers=False)
    pipe.published += len(late)
    pipe.start()
    pipe.settled()
    assert pipe.dead_letters() == []
    runs = {events[0].payload.run_id for events in (ours, theirs, plain, late)}
    bench = SqlBench(pipe.store_uri)
    assert {run_id for run_id in runs if bench.runs(run_id)} == runs

    events = {event.event_id for events in (ours, theirs, plain, late) for event in events}
    archive = archive_of(pipe)
    capsys.readouterr()
    assert main(["audit", "tail", str(archive), "-n", "100", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["event_id"] for row in rows} == events

    rebuilt = f"sqlite:///{tmp_path / 'rebuilt.db'}"
    mlflow_schema.main(rebuilt)
    monkeypatch.setenv("MATIH_STORE_URI", rebuilt)
    monkeypatch.setenv("MATIH_WORKER_DATADIR", str(tmp_path / "replay"))
    assert main(["replay", "--full", "--yes", "--reason", "rebuilt", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["events"], report["refused"]) == (len(events), {})
    again = SqlBench(rebuilt)
    assert {run_id for run_id in runs if again.runs(run_id)} == runs


def test_what_only_the_registry_could_explain_waits_for_it_and_an_id_it_does_not_have_is_a_dead_letter(
    confluent: ConfluentTopic, pipe: Pipe
) -> None:
    events, unknown = some("theirs"), some("unknown")[0]
    confluent.publish(events, headers=False)
    value = codec.encode(unknown, schema_id=2_000_000_000)
    pipe.publish_records([Record(codec.event_key(unknown), value)])
    pipe.published += len(events)
    confluent.door.shut()
    pipe.start(SCHEMA_REGISTRY_CACHE_DIR=str(pipe.folder / "new"))
    said = until(lambda: (pipe.status().get("store") or {}).get("message"), "it says what it waits for")
    assert confluent.registry in said
    until(lambda: "the schema registry is unavailable" in pipe.log(), "the log names what is away")
    assert pipe.committed() == 0
    assert pipe.dead_letters() == []
    confluent.door.open()
    pipe.settled()
    (letter,) = pipe.dead_letters()
    assert (reason(letter), letter.value) == ("newer_schema", value)
    assert len(SqlBench(pipe.store_uri).runs(events[0].payload.run_id)) == 1


def test_a_worker_without_a_registry_reads_ours_and_names_the_setting_for_others(
    confluent: ConfluentTopic, pipe: Pipe
) -> None:
    ours, theirs = some("ours"), some("theirs")
    confluent.publish(ours)
    confluent.publish(theirs, headers=False)
    pipe.published = len(ours) + len(theirs)
    pipe.start(SCHEMA_REGISTRY_URL="", MATIH_EVENTS_FRAMING="")
    pipe.settled()
    letters = pipe.dead_letters()
    assert [reason(letter) for letter in letters] == ["newer_schema"] * len(theirs)
    assert b"SCHEMA_REGISTRY_URL" in dict(letters[0].headers)["__connect.errors.exception.message"]
    assert len(SqlBench(pipe.store_uri).runs(ours[0].payload.run_id)) == 1


def test_a_version_of_the_same_schema_with_an_id_of_its_own_is_read_too(confluent: ConfluentTopic) -> None:
    """Another text with the same fingerprint: registries give it another id."""
    client = RegistryClient(RegistrySettings(url=confluent.registry, timeout=30))
    documented = json.loads(schema.text()) | {"doc": "said anew"}
    theirs = client.register(f"{confluent.name}-value", json.dumps(documented))
    event = some("theirs")[0]
    confluent.publish([replace(event, event_id="a")])
    asyncio.run(confluent.send([Record(codec.event_key(event), codec.encode(replace(event, event_id="b"), theirs))]))
    ids = {int.from_bytes(record.value[1:5], "big") for record in asyncio.run(confluent.records())}
    assert theirs in ids
    assert {found.event_id for found in confluent.events()} == {"a", "b"}
