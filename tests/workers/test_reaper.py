"""Dead hosts on real Kafka, with a real worker: silent runs fail by an event, and come back with their host."""

from __future__ import annotations

import secrets
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until
from tests.workers.journals import Entry, Producer
from tests.workers.pipe import Pipe
from tests.workers.views import SqlBench

from matih_schemas import events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SILENCE = {"MATIH_REAPER_SILENCE": "2"}


@pytest.fixture
def pipe(kafka: str, events_topic: str, postgres_uri: str, tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(kafka, events_topic, postgres_uri, tmp_path)
    yield pipe
    pipe.close()


def producer() -> Producer:
    return Producer(tenant="acme", experiment=f"reaper-{secrets.token_hex(6)}", attempt=now())


def now() -> int:
    return time.time_ns() // 1_000_000


def beat(who: Producer) -> events.TrackingEvent:
    payload = events.Heartbeat(who.run_id, who.producer_id, who.attempt, owner=True)
    return events.TrackingEvent(secrets.token_hex(16), who.tenant, now(), payload, host="node-7")


def status(pipe: Pipe, who: Producer) -> str | None:
    seen = SqlBench(pipe.store_uri).view(who.run_id)
    return seen.status if seen is not None else None


def test_a_silent_run_fails_and_comes_back_with_its_host(pipe: Pipe) -> None:
    gone, never_beaten = producer(), producer()
    pipe.publish([gone.created(), gone.log(Entry({"a": 1.0})), never_beaten.created(), last := beat(gone)])
    pipe.start(**SILENCE)
    until(lambda: status(pipe, gone) == "FAILED", "the silent run FAILED")
    seen = SqlBench(pipe.store_uri).view(gone.run_id)
    assert seen is not None
    assert seen.end_time == last.occurred_at + 1
    assert "node-7" in seen.tags["matih.end_reason"]
    assert status(pipe, never_beaten) == "RUNNING"

    pipe.end(signal.SIGKILL)
    pipe.publish([beat(gone), gone.log(Entry({"a": 2.0}, step=1))])
    pipe.start(MATIH_REAPER_SILENCE="600")
    until(lambda: status(pipe, gone) == "RUNNING", "the run is back")
    seen = SqlBench(pipe.store_uri).view(gone.run_id)
    assert seen is not None
    assert (len(seen.points), seen.tags["matih.end_reason"]) == (2, "")
    pipe.publish([gone.ended()])
    until(lambda: status(pipe, gone) == "FINISHED", "its own end holds")
    assert pipe.dead_letters() == []


@pytest.mark.soak
def test_a_reaper_that_was_killed_knows_the_runs_again(pipe: Pipe) -> None:
    gone = producer()
    pipe.publish([gone.created(), beat(gone)])
    pipe.start(MATIH_REAPER_SILENCE="600")
    until(lambda: status(pipe, gone) == "RUNNING", "the run is there")
    pipe.end(signal.SIGKILL)
    pipe.start(**SILENCE)
    until(lambda: status(pipe, gone) == "FAILED", "the silent run FAILED")


def test_a_heartbeat_of_a_run_that_takes_nothing_is_no_dead_letter(pipe: Pipe) -> None:
    stranger, deleted = producer(), producer()
    pipe.publish([beat(stranger), deleted.created(), deleted.deleted(), beat(deleted)])
    pipe.start(MATIH_REAPER="off")
    pipe.settled()
    assert pipe.dead_letters() == []
    assert status(pipe, stranger) is None
