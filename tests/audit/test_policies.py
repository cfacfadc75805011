"""Retention and legal hold, and who has read the archive: what they say is done, and the archive verifies as before."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.test_events import RECEIVED, add, command, report
from tests.audit.test_recovery import KEY, TOPIC_ID, Killed, Mortal, read
from tests.audit.test_verification import verified
from tests.workers.journals import Entry, Producer

from matih_kafka.rate import Rate
from matih_kafka.reading import topic_reader
from matih_kafka.settings import KafkaSettings
from matih_schemas import codec
from matih_schemas.admin_details import RUNS, names_in
from matih_schemas.events import AdminAction, TrackingEvent
from matih_workers.audit import erasing, notes, policies
from matih_workers.audit.access_log import ACCESS, accesses
from matih_workers.audit.entries import Statement, decode, encode
from matih_workers.audit.errors import Damaged
from matih_workers.audit.log import Log, LogWriter
from matih_workers.audit.policies import DAY_MS, Hold, Policies
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.storage import LocalFolder
from matih_workers.positions import Source
from matih_workers.replay.archive import archived_topics
from matih_workers.replay.run import Replay, Unsaved, report_of
from matih_workers.settings import WorkerSettings
from matih_workers.stores.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

WHY = ("--reason", "request 12")


def done(action: str = "replay", tenant: str = "acme", **details: str) -> TrackingEvent:
    payload = AdminAction(action, "asked for", "the target", details)
    return TrackingEvent("00000000-0000-4000-8000-00000000000a", tenant, 7, payload, None, "ada", "node-7")


def there(storage: LocalFolder) -> list[str]:
    """Whose records still have their payload, by kind, tenant and run."""
    found = [codec.decode(one.value) for records in read(storage).values() for one in records if one.value]
    return [f"{one.kind} {one.tenant_id} {getattr(one.payload, 'run_id', '-')}" for one in found]


def written_for(storage: LocalFolder, *who: Producer) -> None:
    add(storage, [event for one in who for event in (one.created(), one.ended())])


def test_retention_erases_what_is_older_and_nobodys_else(storage: LocalFolder, tmp_path: Path) -> None:
    acme, more = Producer(tenant="acme"), Producer(tenant="more")
    written_for(storage, acme, more)
    add(storage, [done()])
    assert report(tmp_path, "expire", "--yes")["records"] == 0
    assert report(tmp_path, "retain", "--tenant", "acme", "--days", "30", *WHY)["days"] == 30
    assert report(tmp_path, "expire") == {"records": 2, "held": 0, "dry_run": True}
    assert len(there(storage)) == 5
    assert report(tmp_path, "expire", "--yes")["records"] == 2
    assert there(storage) == [f"{kind} more {more.run_id}" for kind in ("RunCreated", "RunEnded")] + [
        "AdminAction acme -"
    ]
    found = verified(storage)
    assert (found.findings, found.erased) == ([], 2)
    (certificate,) = [one for one in statements(storage) if one.type == "erasure"]
    assert certificate.body["reason"] == "retention of 30 days"
    assert report(tmp_path, "expire", "--yes")["records"] == 0
    report(tmp_path, "retain", "--tenant", "more", "--days", "30", *WHY)
    assert report(tmp_path, "retain", "--tenant", "more", "--forever", *WHY)["days"] is None
    assert report(tmp_path, "expire", "--yes")["records"] == 0
    assert set(report(tmp_path, "policies")["retentions"]) == {"acme"}


def statements(storage: LocalFolder) -> list[Statement]:
    found = map(decode, Log(storage).entries(0, LogWriter(storage, KEY).checkpoint.size))
    return [one for one in found if isinstance(one, Statement)]


def test_a_hold_wins_over_retention_and_erase(storage: LocalFolder, tmp_path: Path) -> None:
    held, other = Producer(tenant="acme"), Producer(tenant="acme")
    written_for(storage, held, other)
    before = read(storage)
    hold = report(tmp_path, "hold", "--run", held.run_id, "--reason", "lawsuit 7")
    report(tmp_path, "retain", "--tenant", "acme", "--days", "1", *WHY)
    for asked in (("--run", held.run_id), ("--tenant", "acme")):
        told = command(tmp_path, "erase", *asked, *WHY, "--yes", code=1)
        assert all(part in told for part in ("2 records", hold["id"], "lawsuit 7", "matih audit release"))
        assert read(storage) == before
    assert report(tmp_path, "erase", "--tenant", "acme", *WHY)["held"] == 2
    assert report(tmp_path, "expire", "--yes") == {"records": 2, "held": 2, "dry_run": False}
    assert there(storage) == [f"{kind} acme {held.run_id}" for kind in ("RunCreated", "RunEnded")]
    assert verified(storage).whole
    assert "no hold 00000000" in command(tmp_path, "release", "00000000", *WHY, code=1)
    report(tmp_path, "release", hold["id"], *WHY)
    assert report(tmp_path, "policies")["holds"] == []
    assert report(tmp_path, "erase", "--run", held.run_id, *WHY, "--yes")["records"] == 2
    assert (there(storage), verified(storage).findings, verified(storage).erased) == ([], [], 4)


def test_a_tenants_hold_holds_until_the_last_one_is_released(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    written_for(storage, who)
    first, second = (report(tmp_path, "hold", "--tenant", "acme", "--reason", why)["id"] for why in ("a", "b"))
    report(tmp_path, "release", first, *WHY)
    assert "(b)" in command(tmp_path, "erase", "--run", who.run_id, *WHY, "--yes", code=1)
    report(tmp_path, "release", second, *WHY)
    assert report(tmp_path, "erase", "--run", who.run_id, *WHY, "--yes")["records"] == 2


def test_the_shortcut_of_the_log_lifts_no_hold(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    written_for(storage, who)
    shortcut = storage.read("log/positions") or b""
    report(tmp_path, "hold", "--tenant", "acme", *WHY)
    storage.write({"log/positions": shortcut})
    assert report(tmp_path, "erase", "--run", who.run_id, *WHY)["held"] == 2


def test_a_replay_counts_what_has_expired(storage: LocalFolder, tmp_path: Path) -> None:
    gone, stays = Producer(tenant="acme"), Producer(tenant="more")
    written_for(storage, gone, stays)
    report(tmp_path, "retain", "--tenant", "acme", "--days", "1", *WHY)
    report(tmp_path, "expire", "--yes")

    async def replayed() -> tuple[dict[str, Any], set[str]]:
        memory = MemoryStore()
        replay = Replay(memory, WorkerSettings(store_uri="sqlite://"), Rate(None))
        source = archived_topics(ArchiveReader(storage))(Source(*TOPIC_ID))
        assert source is not None
        await replay.run(source, await source.held(), lambda _: True, Unsaved())
        return report_of([replay.outcome]), set(memory.runs)

    told, runs = asyncio.run(replayed())
    assert (told["seen"], told["refused"], runs) == (4, {"malformed": 2}, {stays.run_id})


def test_an_expiry_that_is_killed(storage: LocalFolder, tmp_path: Path) -> None:
    who = [Producer(tenant="acme") for _ in range(2)]
    for lives in range(0, 16, 3):
        folder = LocalFolder(tmp_path / f"archive-{lives}")
        written_for(folder, who[0])
        add(folder, [who[1].created()], 3)
        stated = Policies()
        stated.take(policies.retention("acme", 1, "x", "root", 1))

        def expire(on: LocalFolder, stated: Policies = stated) -> int:
            writer = LogWriter(on, KEY)
            plan = erasing.planned(on, writer, stated, erasing.expired(stated, RECEIVED + 2 * DAY_MS))
            erasing.erase(on, writer, plan, "root", 1)
            return plan.records

        try:
            expire(Mortal(tmp_path / f"archive-{lives}", lives))
        except Killed:
            assert verified(folder).whole
            expire(folder)
        assert (there(folder), verified(folder).findings, verified(folder).erased) == ([], [], 3)
        assert expire(folder) == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(1, 9)), max_size=8), st.integers(0, 20))
def test_the_last_statement_holds(stated: list[tuple[str, int | None]], age: int) -> None:
    log = [encode(policies.retention(tenant, days, "x", "y", 1)) for tenant, days in stated]
    found, last = policies.policies_of(log), dict(stated)
    for tenant in "ab":
        days = last.get(tenant)
        expected = days if days is not None and age > days else None
        assert found.expired(tenant, RECEIVED, RECEIVED + age * DAY_MS) == expected


@given(st.lists(st.tuples(st.none() | st.sampled_from("ab"), st.none() | st.sampled_from("rs")), max_size=5))
def test_a_hold_covers_what_it_names(stated: list[tuple[str | None, str | None]]) -> None:
    holds = [Hold(str(number), *one, "x", "y", 1) for number, one in enumerate(stated)]
    found = policies.policies_of([encode(policies.hold(one)) for one in holds])
    for tenant in "ab":
        for run in "rs":
            covering = [one for one in holds if one.tenant in (None, tenant) and one.run in (None, run)]
            assert found.holding(tenant, run) == (covering[0] if covering else None)
    left = policies.policies_of(
        [
            *(encode(policies.hold(one)) for one in holds),
            *(encode(policies.release(one.id, "x", "y", 2)) for one in holds),
        ]
    )
    assert left.as_json() == {"retentions": {}, "holds": []}


@pytest.mark.parametrize("body", [{}, {"id": "a"}, {"id": "a", "tenant": "acme", "run": None, "reason": "x"}])
def test_a_hold_that_nobody_understands_lets_nothing_go(body: dict[str, Any]) -> None:
    with pytest.raises(Damaged, match="hold in the log"):
        policies.policies_of([encode(Statement(policies.HOLD, body))])


def test_wrong_use_changes_nothing(storage: LocalFolder, tmp_path: Path) -> None:
    written_for(storage, Producer(tenant="acme"))
    before = storage.read("log/checkpoint")
    for words in (
        ("retain", "--tenant", "acme", *WHY),
        ("retain", "--days", "3", *WHY),
        ("retain", "--tenant", "acme", "--days", "3", "--forever", *WHY),
        ("retain", "--tenant", "acme", "--days", "0", *WHY),
        ("retain", "--tenant", "a/b", "--days", "3", *WHY),
        ("retain", "--tenant", "acme", "--days", "3"),
        ("hold", "--tenant", "acme"),
        ("hold", *WHY),
        ("hold", "--run", "my run", *WHY),
        ("release", "0"),
        ("erase", "--tenant", "acme", "--yes"),
        ("erase", "--run", "my run", *WHY),
    ):
        command(tmp_path, *words, code=2)
    assert storage.read("log/checkpoint") == before
    os.environ["MATIH_AUDIT_ARCHIVE"] = str(tmp_path / "slip")
    assert "is no archive" in command(tmp_path / "slip", "hold", "--tenant", "acme", *WHY, code=1)
    assert not (tmp_path / "slip" / "archive").exists()


def test_what_is_not_recorded_is_not_done(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    written_for(storage, who)
    report(tmp_path, "retain", "--tenant", "acme", "--days", "1", *WHY)
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    before = storage.read("log/checkpoint")
    changes: tuple[tuple[str, ...], ...] = (
        ("erase", "--run", who.run_id, *WHY, "--yes"),
        ("expire", "--yes"),
        ("hold", "--tenant", "acme", *WHY),
        ("retain", "--tenant", "acme", "--forever", *WHY),
    )
    for words in changes:
        told = command(tmp_path, *words, code=1)
        assert all(part in told for part in ("nothing was done", "Kafka at 127.0.0.1:1", "--unrecorded")), told
        assert (storage.read("log/checkpoint"), len(there(storage))) == (before, 2)
    assert report(tmp_path, *changes[0], "--unrecorded")["records"] == 2


def test_each_deed_is_an_event_before_it_is_done(
    storage: LocalFolder, tmp_path: Path, kafka: str, events_topic: str
) -> None:
    who, other = Producer(tenant="acme"), Producer(tenant="more")
    written_for(storage, who, other)
    os.environ |= {"KAFKA_BOOTSTRAP_SERVERS": kafka, "MATIH_EVENTS_TOPIC": events_topic}
    hold = report(tmp_path, "hold", "--run", who.run_id, "--reason", "lawsuit 7")["id"]
    command(tmp_path, "erase", "--run", who.run_id, *WHY, "--yes", code=1)
    report(tmp_path, "release", hold, *WHY)
    report(tmp_path, "erase", "--run", who.run_id, *WHY)
    report(tmp_path, "erase", "--run", who.run_id, *WHY, "--yes")
    report(tmp_path, "retain", "--tenant", "more", "--days", "30", *WHY)
    report(tmp_path, "expire")
    for _ in range(2):
        report(tmp_path, "expire", "--yes")
    (tmp_path / "new").write_text(notes.new_key(KEY.name).secret())
    new = report(tmp_path, "rotate", "--new-key", str(tmp_path / "new"), *WHY)["public_key"]
    events = asyncio.run(events_on(kafka, events_topic))
    told = [
        (event.tenant_id, event.payload.action, event.payload.reason, names_in(event.payload.details, RUNS))
        for event in events
    ]
    runs = frozenset([who.run_id])
    assert sorted(told) == [
        ("acme", "audit.erase", "request 12", runs),
        ("matih.deployment", "audit.hold", "lawsuit 7", runs),
        ("matih.deployment", "audit.release", "request 12", runs),
        ("matih.deployment", "audit.rotate", "request 12", frozenset()),
        ("more", "audit.expire", "retention: more: 30 days", frozenset()),
        ("more", "audit.retain", "request 12", frozenset()),
    ]
    (rotated,) = [event.payload for event in events if event.payload.action == "audit.rotate"]
    assert rotated.target == f"log {KEY.name}"
    assert rotated.details == {"old_key": str(KEY.public), "new_key": new}


async def events_on(brokers: str, topic: str) -> list[Any]:
    settings = KafkaSettings(bootstrap_servers=brokers, MATIH_EVENTS_TOPIC=topic)
    async with topic_reader(settings) as reader:
        return [codec.decode(record.value) async for record in reader.scan(topic)]


def test_each_reading_is_noted(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    add(storage, [who.created(), who.log(Entry({"a": 1.0})), who.ended()])
    os.environ["MATIH_AUDIT_PUBLIC_KEYS"] = str(KEY.public)
    command(tmp_path, "show", who.run_id)
    command(tmp_path, "tail", "-n", "2")
    command(tmp_path, "export", "--kind", "RunEnded", "--tenant", "acme")
    command(tmp_path, "gaps")
    command(tmp_path, "verify")
    command(tmp_path, "prove", "--record", "0@1")
    command(tmp_path, "show", "0" * 32, code=1)
    command(tmp_path, "prove", "--record", "0@99", code=1)
    found = list(accesses(storage))
    assert [(one["command"].partition(" ")[2], one["rows"], one["outcome"]) for one in found] == [
        ("show", 3, "done"),
        ("tail", 2, "done"),
        ("export", 1, "done"),
        ("gaps", 0, "done"),
        ("verify", 3, "done"),
        ("prove", 1, "done"),
        ("show", 0, "done"),
        ("prove", None, found[7]["outcome"]),
    ]
    assert found[7]["outcome"] not in ("done", "interrupted", "")
    assert found[0]["asked"] == {"run": who.run_id}
    assert found[2]["asked"] == {"format": "jsonl", "tenant": ["acme"], "kind": ["RunEnded"]}
    for one in found:
        assert one["user"]
        assert one["host"]
        assert one["pid"] == os.getpid()
        assert one["started_at"] <= one["ended_at"]
    assert verified(storage).whole
    assert report(tmp_path, "compact")["made"] == 0


def test_a_reading_that_can_not_be_noted_says_so_and_goes_on(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    add(storage, [who.created()])
    (tmp_path / "file").write_text("no folder")
    os.environ["MATIH_AUDIT_ACCESS_LOG"] = str(tmp_path / "file")
    assert len(command(tmp_path, "export").splitlines()) == 1
    os.environ["MATIH_AUDIT_ACCESS_LOG"] = "off"
    command(tmp_path, "export")
    os.environ["MATIH_AUDIT_ACCESS_LOG"] = str(tmp_path / "elsewhere")
    command(tmp_path, "export")
    assert storage.paths(ACCESS) == []
    assert len(list(accesses(LocalFolder(tmp_path / "elsewhere")))) == 1
    del os.environ["MATIH_AUDIT_ACCESS_LOG"]
    command(tmp_path / "slip", "tail")
    assert not (tmp_path / "slip" / "archive").exists()


def test_admin_actions_are_shown(storage: LocalFolder, tmp_path: Path) -> None:
    who, other = Producer(tenant="acme", experiment="one"), Producer(tenant="acme")
    named = {"runs": json.dumps([who.run_id]), "experiments": '["one"]', "letters": "4"}
    add(storage, [who.created(), done("dlq.redrive", **named), done("replay", "matih.deployment"), other.created()])
    shown = report(tmp_path, "show", who.run_id)["events"]
    assert [step["kind"] for step in shown] == ["RunCreated", "AdminAction"]
    assert [(one["of"], one["key"], one["value"]) for one in shown[1]["changes"]] == [
        ("action", "dlq.redrive", "the target"),
        ("reason", "reason", "asked for"),
        ("detail", "letters", "4"),
    ]
    assert "action dlq.redrive = the target" in command(tmp_path, "show", who.run_id)
    assert "AdminAction replay the target (asked for) by ada" in command(tmp_path, "tail")

    def offsets(*arguments: str) -> list[int]:
        return [json.loads(line)["offset"] for line in command(tmp_path, "export", *arguments).splitlines()]

    assert offsets("--kind", "AdminAction") == [1, 2]
    assert offsets("--kind", "AdminAction", "--tenant", "acme") == [1]
    assert offsets("--kind", "AdminAction", "--actor", "ada") == [1, 2]
    assert offsets("--kind", "AdminAction", "--actor", "eve") == []
    assert offsets("--kind", "AdminAction", "--experiment", "one") == [1]
    assert offsets("--experiment", "one") == [0, 1]
