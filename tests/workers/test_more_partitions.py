"""docs/guides/more-partitions.md, walked through: a run that logs across the move is whole."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until
from tests.workers.journals import START, Entry, Producer
from tests.workers.pipe import Pipe
from tests.workers.views import SqlBench

from matih_kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from pathlib import Path


def topics(kafka: str, command: str, name: str, partitions: int, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "matih_console.main", "topics", command, "--json"],
        env={
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MATIH_EVENTS_TOPIC": name,
            "MATIH_EVENTS_PARTITIONS": str(partitions),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def logged(who: Producer, step: int) -> Entry:
    return Entry(
        {f"loss-{who.rank}": step / 10}, {f"p{who.rank}-{step}": "v"}, {f"last-{who.rank}": str(step)}, step, START
    )


@pytest.mark.soak
def test_the_move(kafka: str, events_topic: str, postgres_uri: str, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = Pipe(kafka, events_topic, postgres_uri, tmp_path / "old")
    owner = Producer(tenant="acme", experiment=f"move-{secrets.token_hex(4)}", rank=0)
    late = Producer(tenant="acme", experiment=owner.experiment, run_id=owner.run_id, owner=False, rank=1)
    old.start()
    old.publish([owner.created(), owner.log(logged(owner, 0))])

    name = events_topic.replace(".v1", ".v2")
    topics(kafka, "create", name, 24)
    assert json.loads(topics(kafka, "check", name, 24))["ok"] is True
    assert "partitions" in topics(kafka, "check", name, 12, code=1)
    new = Pipe(kafka, name, postgres_uri, tmp_path / "new")
    new.settings = KafkaSettings(bootstrap_servers=kafka, MATIH_EVENTS_TOPIC=name, MATIH_EVENTS_PARTITIONS=24)
    new.partitions = 24
    try:
        new.start(MATIH_EVENTS_PARTITIONS="24")
        new.publish([late.created(), late.log(logged(late, 0)), late.log(logged(late, 1))])
        old.publish([owner.log(logged(owner, 1))])
        new.settled()
        old.publish([owner.ended()])
        old.settled()
        until(lambda: old.status().get("lag") == 0, "the old topic is done")
        assert old.end() == 0
        new.publish([late.ended()])
        new.settled()
        assert new.end() == 0
    finally:
        old.close()
        new.close()
    seen = SqlBench(postgres_uri).view(owner.run_id)
    assert seen is not None
    assert {(key, step) for key, _, _, step in seen.points} == {(f"loss-{n}", step) for n in (0, 1) for step in (0, 1)}
    assert seen.params == {f"p{n}-{step}": "v" for n in (0, 1) for step in (0, 1)}
    assert (seen.status, seen.tags["last-0"], seen.tags["last-1"]) == ("FINISHED", "1", "1")
    assert seen.tags["matih.rank.1"] == "FINISHED"
