"""`matih dlq` on real Kafka: what was a dead letter is in MLflow after it was redriven, once, in its order."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.workers.journals import START, Entry, Producer
from tests.workers.pipe import Pipe
from tests.workers.views import SqlBench

from matih_kafka.publisher import Record
from matih_kafka.reading import topic_reader
from matih_schemas import codec
from matih_schemas.topics import catalogue
from matih_workers.dead_letters.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pipe(kafka: str, events_topic: str, postgres_uri: str, tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(kafka, events_topic, postgres_uri, tmp_path)
    yield pipe
    pipe.close()


def dlq(pipe: Pipe, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The report of one command."""
    done = subprocess.run(
        [sys.executable, "-m", "matih_console.main", "dlq", *arguments, "--json"],
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": pipe.brokers, "MATIH_EVENTS_TOPIC": pipe.topic},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else {"error": done.stderr}  # type: ignore[no-any-return]


def orphans(pipe: Pipe, runs: int = 2) -> list[Producer]:
    """Runs whose creation has not come, and all of whose entries are dead letters."""
    producers = [Producer(tenant="acme", experiment=f"dlq-{secrets.token_hex(6)}") for _ in range(runs)]
    events = []
    for step in range(3):
        for who in producers:
            events.append(
                who.log(Entry({"loss": step / 10}, {f"p{step}": "1"}, {"last": str(step)}, step, START + step))
            )
    pipe.publish([*events, *(who.ended() for who in producers)])
    return producers


def admin_actions(pipe: Pipe) -> list[Any]:
    """The events of admins on the topic."""
    found = [
        codec.decode(record.value) for record in asyncio.run(pipe._read(pipe.topic)) if record.value != b"no event"
    ]
    return sorted((one for one in found if one.kind == "AdminAction"), key=lambda one: one.occurred_at)


def redriven(pipe: Pipe, *arguments: str) -> dict[str, Any]:
    report = dlq(pipe, "redrive", *arguments, "--yes", "--reason", "the cause is mended")
    pipe.published += report["redriven"] + 1  # the event that records it
    pipe.settled()
    return report


def test_from_dead_letters_to_mlflow(pipe: Pipe) -> None:
    producers = orphans(pipe)
    pipe.publish_records([Record(b"acme/garbage", b"no event")])
    pipe.start()
    pipe.settled()

    listed = dlq(pipe, "list")
    assert (listed["open"], listed["settled"]) == (9, 0)
    assert listed["counts"] == [
        {"tenant": "acme", "reason": "malformed", "letters": 1},
        {"tenant": "acme", "reason": "unknown_run", "letters": 8},
    ]
    one = next(row["id"] for row in listed["letters"] if row["subject"] == producers[0].run_id)
    shown = dlq(pipe, "show", one)
    assert shown["event"]["payload"]["run_id"] == producers[0].run_id
    assert shown["headers"]["matih.reason"] == "unknown_run"

    plan = dlq(pipe, "redrive")
    assert plan == {"letters": 8, "by_reason": {"unknown_run": 8}, "left": {"malformed": 1}, "dry_run": True}
    assert dlq(pipe, "list")["open"] == 9

    # Another run's redrive leaves this one's where they are; without its creation it fails again, with its history.
    again = redriven(pipe, "--run", producers[1].run_id)
    assert again["redriven"] == 4
    listed = dlq(pipe, "list", "--run", producers[1].run_id)
    assert (listed["open"], dlq(pipe, "list")["settled"]) == (4, 4)
    shown = dlq(pipe, "show", listed["letters"][0]["id"])
    assert (shown["redriven"], shown["attempts"]) == (1, 2)

    pipe.publish([who.created() for who in producers])
    assert redriven(pipe)["redriven"] == 8
    listed = dlq(pipe, "list")
    assert [(row["reason"], row["subject"]) for row in listed["letters"]] == [("malformed", "garbage")]
    first, second = admin_actions(pipe)
    assert (first.payload.details["letters"], second.payload.details["letters"]) == ("4", "8")
    assert json.loads(first.payload.details["runs"]) == [producers[1].run_id]
    assert json.loads(second.payload.details["runs"]) == sorted(who.run_id for who in producers)
    for event in (first, second):
        assert (event.tenant_id, event.payload.action, event.payload.reason) == (
            "acme",
            "dlq.redrive",
            "the cause is mended",
        )
        assert json.loads(event.payload.details["by_reason"]) == {"unknown_run": int(event.payload.details["letters"])}
    bench = SqlBench(pipe.store_uri)
    for who in producers:
        seen = bench.view(who.run_id)
        assert seen is not None
        assert seen.points == {("loss", repr(step / 10), START + step, step) for step in range(3)}
        assert seen.params == {f"p{step}": "1" for step in range(3)}
        assert (seen.tags["last"], seen.status) == ("2", "FINISHED")


@pytest.mark.soak
def test_killed_before_the_note_and_redriven_twice(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    (who,) = orphans(pipe, runs=1)
    pipe.start()
    pipe.settled()
    pipe.publish([who.created()])
    desk = Desk(pipe.settings)
    letters = asyncio.run(desk.register()).open()
    with monkeypatch.context() as patched:
        patched.setattr(desk, "_settle", _killed)
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(desk.redrive(letters))
    pipe.published += len(letters)
    pipe.settled()
    before = SqlBench(pipe.store_uri).view(who.run_id)
    assert dlq(pipe, "list")["open"] == len(letters)
    redriven(pipe)
    assert dlq(pipe, "list")["open"] == 0
    assert SqlBench(pipe.store_uri).view(who.run_id) == before


async def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_value_that_was_left_out_comes_from_the_events_topic(pipe: Pipe) -> None:
    who = Producer(tenant="acme", experiment=f"dlq-{secrets.token_hex(6)}")
    pipe.publish([who.log(Entry({"loss": 0.5}, {"p": "v"}))])
    pipe.start()
    pipe.settled()
    full = pipe.dead_letters()[0]
    asyncio.run(_publish_without_value(pipe, full))
    dlq(pipe, "purge", f"{full.partition}@{full.offset}", "--yes", "--reason", "a test")
    pipe.published += 1
    (row,) = dlq(pipe, "list")["letters"]
    assert row["bytes"] == len(full.value)
    assert "too large" in dlq(pipe, "show", row["id"])["event_unreadable"]
    pipe.publish([who.created()])
    redriven(pipe)
    seen = SqlBench(pipe.store_uri).view(who.run_id)
    assert seen is not None
    assert seen.params == {"p": "v"}


async def _publish_without_value(pipe: Pipe, full: Any) -> None:
    """The same letter as if the topic had refused its value (another time tells the two apart)."""
    left_out = [("matih.value_left_out", str(len(full.value)).encode())]
    from matih_kafka.idempotent import KafkaPublisher

    publisher = KafkaPublisher(pipe.settings, catalogue(pipe.topic)[1])
    await publisher.connect()
    await publisher.send(Record(full.key, b"", (*full.headers, *left_out), full.timestamp + 1))
    await publisher.close()


def test_purged_letters_are_gone_from_the_topic(pipe: Pipe) -> None:
    producers = orphans(pipe)
    pipe.start()
    pipe.settled()
    assert "say which letters" in dlq(pipe, "purge", "--yes", "--reason", "given up", code=2)["error"]
    assert dlq(pipe, "purge", "--run", producers[0].run_id)["dry_run"] is True
    given_up = ("--yes", "--reason", "given up")
    assert dlq(pipe, "purge", "--run", producers[0].run_id, *given_up)["purged"] == 4
    assert {row["subject"] for row in dlq(pipe, "list")["letters"]} == {producers[1].run_id}
    assert dlq(pipe, "purge", "--everything", *given_up)["purged"] == 4
    assert asyncio.run(_left(pipe)) == 0
    assert dlq(pipe, "list") == {"open": 0, "settled": 0, "counts": [], "letters": []}
    assert [one.payload.action for one in admin_actions(pipe)] == ["dlq.purge", "dlq.purge"]
    pipe.published += 2
    pipe.settled()
    assert asyncio.run(_left(pipe)) == 0, "an admin's event is nothing to the worker"


async def _left(pipe: Pipe) -> int:
    async with topic_reader(pipe.settings) as reader:
        return len([record async for record in reader.scan(catalogue(pipe.topic)[1].name)])


def test_wrong_use_and_outages_are_one_line(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no reason 'rain'" in dlq(pipe, "list", "--letter-reason", "rain", code=2)["error"]
    for words in (("redrive",), ("purge", "--everything")):
        assert "add --reason TEXT" in dlq(pipe, *words, "--yes", code=2)["error"]
        assert "--letter-reason poison" in dlq(pipe, *words, "--yes", "--reason", "poison", code=2)["error"]
    assert "--since" in dlq(pipe, "list", "--since", "rain", code=2)["error"]
    assert "PARTITION@OFFSET" in dlq(pipe, "show", "rain", code=2)["error"]
    assert "not in the topic" in dlq(pipe, "show", "3@999", code=1)["error"]
    assert "3@999" in dlq(pipe, "redrive", "3@999", code=1)["error"]
    pipe.topic = "test.missing.events.v1"
    assert "matih topics create" in dlq(pipe, "list", code=1)["error"]
    pipe.brokers = "127.0.0.1:1"
    (line,) = dlq(pipe, "list", code=1)["error"].splitlines()
    assert "Kafka at 127.0.0.1:1" in line
