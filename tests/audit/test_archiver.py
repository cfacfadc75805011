"""The archiver on real Kafka: killed at any moment, stopped, refused, and what Kafka lost while it was away."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.audit.world import World, some_records
from tests.waiting import until
from tests.workers.journals import Entry, Producer

from matih_kafka.admin import admin_client, create_topics
from matih_kafka.groups import group
from matih_kafka.publisher import Record
from matih_kafka.reading import delete_before
from matih_schemas import codec
from matih_schemas.errors import InvalidEvent
from matih_schemas.topics import catalogue
from matih_workers.audit import notes
from matih_workers.audit.entries import RETENTION, GapEntry, decode
from matih_workers.audit.log import Log
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.verification import Verification
from matih_workers.dead_letters import DeadLetter, headers
from matih_workers.dead_letters.publishing import as_record
from matih_workers.records import Received

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_schemas.events import TrackingEvent


def load(world: World, stop: threading.Event, wanted: threading.Event) -> Iterator[int]:
    """Publishes until it is told to stop, while it is wanted; what comes is archived on the same two cores."""
    first = 0
    while not stop.is_set():
        if not wanted.wait(0.1):
            continue
        world.publish(some_records(first, 500))
        first += 500
        yield first
        stop.wait(0.1)


def killed(world: World, kills: int, seed: int) -> None:
    """Kills the archiver under load at random moments, and compares.

    Nothing is published while nothing archives: what a killed archiver has left would only take longer to verify. All
    of that is verified each time; beside a working archiver what has come since.
    """
    chance, stop, wanted, published = random.Random(seed), threading.Event(), threading.Event(), [0]

    def publish() -> None:
        for total in load(world, stop, wanted):
            published[0] = total

    publishing, verified = threading.Thread(target=publish), 0
    publishing.start()
    try:
        for _ in range(kills):
            wanted.set()
            world.start()
            done = sum(ArchiveReader(world.storage).ends().values())
            until(lambda done=done: sum(ArchiveReader(world.storage).ends().values()) > done, "something is archived")
            time.sleep(chance.uniform(0, 0.5))
            report = Verification(world.storage, [world.key.public], since=verified).run()
            assert report.findings == [], "it verifies beside a working archiver"
            world.end(signal.SIGKILL)
            wanted.clear()
            report = Verification(world.storage, [world.key.public]).run()
            assert report.findings == [], "it verifies as the killed one has left it"
            assert report.checkpoint is not None
            verified = report.checkpoint.size
    finally:
        stop.set()
        publishing.join()
    world.publish(some_records(published[0], 100))
    published[0] += 100
    world.start()
    world.archived_until(published[0], 240)
    assert world.end() == 0
    on_topic = world.on_topic()
    assert sum(map(len, on_topic.values())) == published[0]
    assert world.in_archive() == on_topic
    report = Verification(world.storage, [world.key.public]).run()
    assert (report.findings, report.records) == ([], published[0])


def test_killed_under_load(world: World) -> None:
    killed(world, 2, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_twenty_times_under_load(world: World) -> None:
    killed(world, 20, seed=random.randrange(2**32))


def test_everything_as_it_stood_on_the_topic(world: World) -> None:
    odd = [Record(b"", b""), Record(b"k", b"\x00" * 70_000, (("h", b""), ("h", b"twice"), ("\u00fc", b"\xff")))]
    world.publish([*odd, *some_records(0, 300)])
    world.start(MATIH_AUDIT_BATCH_SECONDS="600")
    until(lambda: world.metric("matih_audit_lag_records") == 302, "all has come, and is not written yet")
    assert world.metric("matih_audit_lag_seconds") > 0
    assert world.end(seconds=10) == 0, "what has come is written when it is told to stop"
    assert asyncio.run(group(world.settings, f"audit-{world.topic}", world.topic)).lag == 0
    assert world.in_archive() == world.on_topic()
    assert sum(map(len, world.in_archive().values())) == 302
    auditor = {"MATIH_AUDIT_KEY_FILE": "", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    assert "whose signature counts" in world.command("verify", code=2, **auditor)
    report = world.command("verify", "--public-key", str(world.key.public), "--json", **auditor)
    assert (report["whole"], report["records"], report["findings"]) == (True, 302, [])
    partition, records = next(iter(world.in_archive().items()))
    proof = json.loads(world.command("prove", "--record", f"{partition}@{records[-1].offset}", **auditor))
    (world.folder / "proof.json").write_text(json.dumps(proof))
    told = world.command("check", str(world.folder / "proof.json"), "--public-key", str(world.key.public), "--json")
    assert (told["proven"], told["place"]["offset"]) == (True, records[-1].offset)
    file = next(path for path in world.storage.paths("records") if f"/{partition}/" in path)
    data = bytearray(world.storage.read(file) or b"")
    data[-100] ^= 1
    world.storage.write({file: bytes(data)})
    told = world.command("verify", "--public-key", str(world.key.public), code=1, **auditor)
    assert f"{file}: offset 0" in told
    assert "NOT as it was written" in told


def test_what_never_reached_mlflow_is_archived_too(world: World) -> None:
    who, other = Producer(tenant="acme"), Producer(tenant="acme")
    who.log(Entry({"loss": 0.5}, step=3))
    events = [as_published(event) for event in (who.created(), who.logged(1, 1), who.ended(), other.created())]
    world.publish(events)
    place = next(
        (number, one.offset) for number, some in world.on_topic().items() for one in some if one.key == events[1].key
    )
    failed = Received(world.topic, place[0], place[1] + 1, events[1].key, events[1].value, events[1].headers, 1_000)
    letter = as_record(DeadLetter(failed, InvalidEvent("tenant_mismatch", "somebody else's"), first_failed_at=2_000))
    garbage = Record(letter.key, b"no event", letter.headers, 3_000)
    world.publish_letters([letter, garbage])
    published = world.on_topic(world.letters.name)
    (number, letters), *none = published.items()
    assert not none
    assert [one.timestamp for one in letters] == [1_000, 3_000]
    note = headers.replaced((), {headers.SETTLED: "purged", headers.LETTER: f"{number}@0", headers.SETTLED_BY: "ann"})
    world.publish_letters([Record(letter.key, b"", note)])
    world.start()
    world.archived_until(len(events) + 3)
    until(lambda: world.metric("matih_audit_lag_records") == 0, "nothing waits")
    assert world.end() == 0
    for topic in (world.topic, world.letters.name):
        assert world.in_archive(topic) == world.on_topic(topic)
    report = world.command("verify", "--json")
    assert (report["whole"], report["records"]) == (True, len(events) + 3)
    shown = world.command("show", who.run_id, "--json")["events"]
    assert [step["kind"] for step in shown if not step["dead_letter"]] == ["RunCreated", "RunLogged", "RunEnded"]
    told = {
        step["place"]: (step["kind"], step["dead_letter"], step["changes"]) for step in shown if step["dead_letter"]
    }
    why = f"tenant_mismatch: somebody else's (was {world.topic}/{place[0]}@{place[1] + 1})"
    assert told == {
        f"{number}@0": ("RunLogged", why, []),
        f"{number}@1": ("", why, []),
        f"{number}@2": ("", f"letter {number}@0 purged by ann", []),
    }
    assert f"dead letter {number}@0  RunLogged {why}" in world.command("show", who.run_id)
    missing = world.command("gaps", "--json")
    assert (missing["numbers"], missing["unreadable"]) == ([], 0)
    rows = [json.loads(line) for line in world.command("export").splitlines()[:-1]]
    assert sorted(row["kind"] for row in rows) == ["RunCreated", "RunCreated", "RunEnded", "RunLogged"]
    assert {row["dead_letter"] for row in rows} == {None}
    rows = [json.loads(line) for line in world.command("export", "--dead-letters").splitlines()[:-1]]
    assert [row["dead_letter"] for row in rows] == [one[1] for one in told.values()]
    assert why in world.command("tail", "--dead-letters", "-n", "3")
    assert json.loads(world.command("prove", "--record", f"{place[0]}@{place[1]}"))["offset"] == place[1]
    world.command("erase", "--run", who.run_id, "--reason", "asked", "--yes")
    assert all(one.erased for one in world.in_archive(world.letters.name)[number])
    assert world.command("verify", "--json")["whole"]


def as_published(event: TrackingEvent) -> Record:
    return Record(codec.event_key(event), codec.encode(event), tuple(codec.headers(event)))


def test_a_topic_made_anew_is_another_one(world: World) -> None:
    world.publish(some_records(0, 200))
    world.start()
    world.archived_until(200)
    until(lambda: world.metric("matih_audit_records_total") == 200, "the 200 records counted")
    until(lambda: world.metric("matih_audit_checkpoint_size") >= 201, "the checkpoint's size told")
    asyncio.run(made_anew(world))
    world.publish(some_records(1000, 300))
    world.archived_until(500)
    world.end()
    reader = ArchiveReader(world.storage)
    assert set(reader.topics().values()) == {world.topic}
    by_topic: dict[str, int] = {}
    for where, end in reader.ends().items():
        by_topic[where.topic_id] = by_topic.get(where.topic_id, 0) + len(list(reader.records(*where, 0, end)))
    assert sorted(by_topic.values()) == [200, 300]
    assert world.command("verify", "--json")["whole"]


async def made_anew(world: World) -> None:
    topics = catalogue(world.topic)
    async with admin_client(world.settings) as admin:
        await admin.delete_topics([topics[0].name])
    for _ in range(300):
        if (await create_topics(world.settings, topics[:1]))[world.topic] == "created":
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it can't be made anew")


def test_what_retention_took_is_told_in_the_log(world: World) -> None:
    world.publish(some_records(0, 500))
    world.start()
    world.archived_until(500)
    world.end()
    world.publish(some_records(500, 500))
    before = world.in_archive()
    ends = {number: records[-1].offset + 1 for number, records in world.on_topic().items()}
    asyncio.run(delete_before(world.settings, world.topic, {number: end - 1 for number, end in ends.items()}))
    world.start()
    world.archived_until(sum(ends.values()))
    world.end()
    left = world.on_topic()
    assert world.in_archive() == {
        number: before.get(number, []) + [one for one in records if one not in before.get(number, [])]
        for number, records in left.items()
    }
    found = ArchiveReader(world.storage).checkpoint
    assert found is not None
    said = [decode(entry) for entry in Log(world.storage).entries(0, found.size)]
    gaps = {gap.partition.partition: gap for gap in said if isinstance(gap, GapEntry)}
    expected = {number: len(before[number]) for number in before if ends[number] - 1 > len(before[number])}
    assert {number: (gap.first, gap.end, gap.reason) for number, gap in gaps.items()} == {
        number: (first, ends[number] - 1, RETENTION) for number, first in expected.items()
    }


def test_who_may_not_write(world: World) -> None:
    assert "matih audit keygen" in world.command("archive", code=2, MATIH_AUDIT_KEY_FILE="")
    assert "which archive" in world.command("archive", code=2, MATIH_AUDIT_ARCHIVE="")
    world.publish(some_records(0, 10))
    world.start()
    world.archived_until(10)
    assert "writes it: stop that archiver first" in world.command("archive", code=1)
    world.end()
    (world.folder / "key").write_text(notes.new_key("test/audit").secret())
    assert "no accepted key signed it" in world.command("archive", code=1)
    made = world.command("keygen", "a/b", "--out", str(world.folder / "new"), "--json")
    assert (world.folder / "new").stat().st_mode & 0o777 == 0o600
    assert str(notes.signing_key((world.folder / "new").read_text()).public) == made["public_key"]
    assert "not there yet" in world.command("keygen", "a/b", "--out", str(world.folder / "new"), code=1)


def test_a_broker_that_is_away(world: World) -> None:
    world.start(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    until(lambda: "nothing is archived now: Kafka at 127.0.0.1:1" in world.log(), "it says why it waits")
    assert world.end(seconds=10) == 0
