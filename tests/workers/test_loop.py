"""The worker on real Kafka and MLflow: what goes in comes out, once, whatever happens to it."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until
from tests.workers.doorkeeper import Doorkeeper
from tests.workers.journals import START, Entry, Producer
from tests.workers.pipe import Pipe, reason
from tests.workers.views import MlflowBench

from matih_kafka.admin import create_topics
from matih_kafka.publisher import Record
from matih_schemas import codec
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from matih_schemas.events import TrackingEvent


def trained(runs: int, events: int, points: int, **given: object) -> tuple[list[Producer], list[TrackingEvent]]:
    """Runs with events of `points` points each, in the order in which they would come side by side."""
    experiment = f"loop-{secrets.token_hex(6)}"
    producers = [Producer(**{"experiment": experiment, "tenant": "acme", **given}) for _ in range(runs)]  # type: ignore[arg-type]
    stream = [who.created() for who in producers]
    for number in range(events):
        for who in producers:
            entries = [
                Entry({"loss": random.random(), "acc": float(step)}, step=step, time=START + step)
                for step in range(number * points // 2, (number + 1) * points // 2)
            ]
            stream.append(who.log(*entries, Entry(tags={"last": str(number)})))
    return producers, [*stream, *(who.ended() for who in producers)]


def compare(pipe: Pipe, producers: list[Producer]) -> None:
    """What was logged against what is in MLflow, both ways."""
    bench = MlflowBench(pipe.store_uri)
    for who in producers:
        logged = {
            (key, repr(value), entry.time, entry.step) for entry in who.entries for key, value in entry.metrics.items()
        }
        seen = bench.view(who.run_id)
        assert seen is not None
        assert (len(logged - seen.points), len(seen.points - logged)) == (0, 0)
        assert seen.status == "FINISHED"
        assert seen.tags[f"matih.applied.{who.producer_id}"] == str(len(who.entries) + 1)
        assert seen.tags["last"] == who.entries[-1].tags["last"]


def test_what_is_published_is_in_mlflow(pipe: Pipe) -> None:
    producers, events = trained(runs=5, events=4, points=500)
    pipe.publish(events)
    pipe.start()
    report = pipe.settled()
    assert (report["events"], report["metrics"]) == (len(events), 5 * 4 * 500)
    assert (report["dead_letters"], report["lag"], report["in_flight"]) == ({}, 0, 0)
    assert pipe.page("/readyz") == {"ready": True, "problems": []}
    assert pipe.page("/healthz") == {"status": "alive"}
    assert pipe.end() == 0
    compare(pipe, producers)


@pytest.mark.soak
def test_kills_under_load_lose_nothing(pipe: Pipe) -> None:
    """kill -9 at moments of chance: while it starts, reads, writes and commits."""
    chance = random.Random(7)
    producers, events = trained(runs=6, events=12, points=40)
    pipe.publish(events[:20])
    pipe.start()
    for kill in range(3):
        target = 10 * (kill + 1) + chance.randrange(10)
        until(lambda at=target: pipe.status().get("events", 0) >= at - pipe.committed(), "some progress", pause=0.01)  # type: ignore[misc]
        pipe.end(signal.SIGKILL)
        pipe.publish(events[20 + kill * 20 : 40 + kill * 20])
        pipe.start()
    pipe.publish(events[80:])
    assert pipe.settled(120)["dead_letters"] == {}
    compare(pipe, producers)


@pytest.mark.soak
def test_two_workers_share_and_take_over(pipe: Pipe) -> None:
    producers, events = trained(runs=8, events=6, points=40)
    second = Pipe(pipe.brokers, pipe.topic, pipe.store_uri, pipe.folder / "second")
    second.folder.mkdir()
    pipe.start()
    until(lambda: len(pipe.status().get("partitions", [])) == 12, "all partitions assigned")
    pipe.publish(events[:30])
    second.start()
    try:
        until(lambda: second.status().get("partitions"), "some partitions of its own")
        pipe.publish(events[30:45])
        pipe.end(signal.SIGKILL)
        pipe.publish(events[45:])
        second.published = pipe.published
        assert second.settled(120)["dead_letters"] == {}
    finally:
        second.close()
    compare(pipe, producers)


def test_a_stop_under_load_is_short_and_loses_nothing(pipe: Pipe) -> None:
    producers, events = trained(runs=4, events=20, points=200)
    pipe.publish(events)
    pipe.start(MATIH_WORKER_BATCH_METRICS="1000")
    until(lambda: pipe.status().get("events", 0) > 0, "the first batch")
    assert pipe.end(signal.SIGTERM, seconds=10) == 0
    left = pipe.published - pipe.committed()
    assert left > 0, "it was stopped at the end of its work: no test of a stop under load"
    pipe.start()
    report = pipe.settled(120)
    assert report["dead_letters"] == {}
    compare(pipe, producers)


def test_an_outage_of_the_store_delays_and_loses_nothing(pipe: Pipe) -> None:
    with Doorkeeper(pipe.store_uri) as door:
        through, pipe.store_uri = pipe.store_uri, door.url
        producers, events = trained(runs=3, events=6, points=200)
        pipe.publish(events[:6])
        pipe.start()
        pipe.settled()
        door.shut()
        pipe.publish(events[6:])
        until(lambda: pipe.status()["store"]["state"] == "down", "the outage is seen")
        ready = pipe.page("/readyz")
        assert ready is not None
        assert not ready["ready"]
        assert ready["problems"][0].startswith("the store is down:")
        assert pipe.page("/healthz") == {"status": "alive"}
        retries = pipe.status()["retries"]
        until(lambda: pipe.status()["retries"] > retries + 2, "more tries")
        said = [line for line in pipe.log().splitlines() if "the store is unavailable" in line]
        assert len(said) == 1, "an outage is one line, not one per try"
        door.open()
        report = pipe.settled()
        assert (report["dead_letters"], report["store"]["state"]) == ({}, "up")
        assert "the store is back after" in pipe.log()
        pipe.store_uri = through
        compare(pipe, producers)


@pytest.mark.soak
def test_the_store_and_kafka_may_come_later(pipe: Pipe) -> None:
    with Doorkeeper(pipe.store_uri) as door:
        through, pipe.store_uri = pipe.store_uri, door.url
        door.shut()
        producers, events = trained(runs=2, events=2, points=100)
        pipe.publish(events)
        pipe.start()
        until(lambda: (pipe.status() or {}).get("store", {}).get("state") == "down", "the outage is seen")
        door.open()
        assert pipe.settled()["dead_letters"] == {}
        pipe.store_uri = through
        compare(pipe, producers)


def test_bad_events_become_dead_letters_and_the_good_go_on(pipe: Pipe) -> None:
    producers, events = trained(runs=2, events=2, points=100)
    mine, stranger = producers[0], Producer(tenant="acme")
    thief = Producer(tenant="evil", experiment=mine.experiment, run_id=mine.run_id)
    misplaced = codec.encode(stranger.created())
    half = Producer(tenant="acme", experiment=mine.experiment)
    partly = half.log(Entry({"good": 1.0, "b@d": 2.0}, {"p": "a\x00b"}, time=START))
    bad = {
        "malformed": Record(b"acme/x", b"garbage", (("trace", b"1"),), 1234),
        "newer_schema": Record(b"acme/x", b"\xc3\x01" + b"\x07" * 8 + b"rest"),
        "key_mismatch": Record(b"acme/other", misplaced),
        "unknown_run": record(stranger.log(Entry({"a": 1.0}))),
        "tenant_mismatch": record(thief.log(Entry({"a": 1.0}))),
        "invalid_tenant": record(replace(stranger.created(), tenant_id="no/tenant")),
        "invalid_entry": record(partly),
    }
    pipe.publish([*events[:4], half.created()])
    pipe.start()
    pipe.settled()
    pipe.publish_records(list(bad.values()))
    pipe.publish(events[4:])
    report = pipe.settled()
    assert report["dead_letters"] == dict.fromkeys(bad, 1)
    letters = {reason(letter): letter for letter in pipe.dead_letters()}
    assert letters.keys() == bad.keys()
    for name, sent in bad.items():
        headers = dict(letters[name].headers)
        assert (letters[name].key, letters[name].value) == (sent.key, sent.value)
        assert headers["__connect.errors.topic"].decode() == pipe.topic
        assert headers["__connect.errors.exception.message"]
        assert {"__connect.errors.partition", "__connect.errors.offset", "matih.attempts"} <= headers.keys()
    assert dict(letters["malformed"].headers)["trace"] == b"1"
    compare(pipe, producers)
    seen = MlflowBench(pipe.store_uri).view(half.run_id)
    assert seen is not None
    assert (seen.points, seen.params) == ({("good", "1.0", START, 0)}, {})


@pytest.mark.soak
def test_an_event_that_kills_the_worker_and_one_that_always_fails(pipe: Pipe) -> None:
    """Both end as dead letters, after some processes and some tries; what was taken with them goes on."""
    good, killer, poison = (Producer(tenant="acme") for _ in range(3))
    pipe.publish(
        [who.created() for who in (good, killer, poison)]
        + [good.log(Entry({"a": 1.0})), killer.log(Entry(tags={"deadly": "1"})), poison.log(Entry(tags={"bad": "bad"}))]
        + [good.log(Entry({"a": 2.0})), killer.log(Entry({"a": 1.0})), good.ended()]
    )
    deaths = 0
    while pipe.committed() < pipe.published:
        pipe.start(module="tests.workers.deadly", MATIH_WORKER_ATTEMPTS="2", MATIH_WORKER_BACKOFF="0.01")
        until(lambda: pipe.exit_code() is not None or pipe.committed() == pipe.published, "its end, or the work's")
        deaths += pipe.exit_code() == 9
        assert deaths < 5
    # A worker that dies before its commit leaves what it published: a dead letter may stand there twice.
    letters = {letter.value: letter for letter in pipe.dead_letters()}
    assert letters.keys() == {record(killer.logged(1, 1)).value, record(poison.logged(1, 1)).value}
    assert [reason(letter) for letter in letters.values()] == ["poison", "poison"]
    assert {dict(letter.headers)["matih.attempts"] for letter in letters.values()} == {b"2"}
    assert deaths == 2


def test_a_topic_with_another_number_of_partitions_is_never_read(pipe: Pipe) -> None:
    wrong = catalogue(f"wrong-{secrets.token_hex(4)}.events.v1")[0]
    asyncio.run(create_topics(pipe.settings, [replace(wrong, partitions=3)], 1))
    pipe.start(MATIH_EVENTS_TOPIC=wrong.name)
    until(lambda: (pipe.status() or {}).get("kafka", {}).get("state") == "down", "the refusal")
    ready = pipe.page("/readyz")
    assert ready is not None
    assert any("has 3 partitions, the contract says 12" in problem for problem in ready["problems"])
    assert pipe.end() == 0


def record(event: TrackingEvent) -> Record:
    return Record(codec.event_key(event), codec.encode(event))
