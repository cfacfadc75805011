"""What is missing in an archive: told with its reason where there is one, and what nobody can know as unproven."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.test_events import add, command, report
from tests.audit.test_recovery import KEY, TOPIC_ID
from tests.workers.journals import START, Entry, Producer

from matih_api.events import Author, LoggedMetric, Numbers, run_created, run_logged
from matih_schemas import events, identity
from matih_schemas.clock import now_ms
from matih_schemas.events import EntryGroup, RunLogged, TrackingEvent
from matih_tracking.reading.views import ExperimentView
from matih_workers.audit import completeness
from matih_workers.audit.batch import Batch
from matih_workers.audit.completeness import Sequences
from matih_workers.audit.entries import GapEntry
from matih_workers.audit.events import ArchivedEvent
from matih_workers.audit.log import LogWriter
from matih_workers.audit.record import ArchivedRecord

if TYPE_CHECKING:
    from pathlib import Path

    from matih_workers.audit.storage import LocalFolder

PLACE = TOPIC_ID.partition(0)


def test_what_is_missing(storage: LocalFolder, tmp_path: Path) -> None:
    whole, lost, behind_a_gap = (Producer(tenant="acme") for _ in range(3))
    for who in (whole, lost, behind_a_gap):
        for step in range(4):
            who.log(Entry({"a": 1.0}, step=step))
    again = [whole.logged(1, 2), whole.logged(2, 3)]
    add(storage, [whole.created(), *again, whole.ended(), lost.created(), lost.logged(1, 1), lost.logged(4, 1)])
    found = report(tmp_path, "gaps", code=1)
    assert [(gap["run_id"], gap["first"], gap["end"], gap["reason"]) for gap in found["numbers"]] == [
        (lost.run_id, 2, 4, "")
    ]
    assert found["offsets"] == []
    add(storage, [lost.logged(2, 2)])
    assert report(tmp_path, "gaps")["numbers"] == []
    batch = Batch([TOPIC_ID], LogWriter(storage, KEY).state)
    batch.gap(TOPIC_ID.partition(3), 2)
    LogWriter(storage, KEY).commit(batch.entries())
    add(storage, [behind_a_gap.logged(2, 1), whole.log(Entry(tags={"matih.dropped": '{"spool_full": 7}'}))], 3)
    found = report(tmp_path, "gaps")
    assert [(gap["first"], gap["end"]) for gap in found["offsets"]] == [(0, 2)]
    assert [(gap["first"], gap["end"]) for gap in found["numbers"]] == [(0, 2)]
    assert "retention passed" in found["numbers"][0]["reason"]
    assert found["dropped"] == {whole.run_id: '{"spool_full": 7}'}


def logging(count: int) -> Producer:
    """A producer with so many entries behind its creation."""
    who = Producer(tenant="acme")
    for step in range(count):
        who.log(Entry({"a": 1.0}, step=step))
    return who


def gap(storage: LocalFolder, end: int) -> None:
    """The archive has nothing before `end` that is not there yet."""
    batch = Batch([TOPIC_ID], LogWriter(storage, KEY).state)
    batch.gap(PLACE, end)
    LogWriter(storage, KEY).commit(batch.entries())


def test_a_gap_explains_what_stood_there_and_nothing_else(storage: LocalFolder, tmp_path: Path) -> None:
    first, later, other = logging(3), logging(4), logging(100)
    gap(storage, 2)
    add(storage, [first.logged(2, 2), first.ended(), other.created(), other.logged(1, 100), other.ended()])
    assert [one["end"] for one in report(tmp_path, "gaps")["numbers"]] == [2]
    add(storage, [b"no event"] * 100)
    add(storage, [later.created(), later.logged(1, 1), later.logged(4, 1), later.ended()])
    found = report(tmp_path, "gaps", code=1)
    assert {(one["run_id"], one["first"], one["end"]): one["reason"] for one in found["numbers"]} == {
        (first.run_id, 0, 2): "the archive lacks offsets of its partition: retention passed before the archiver came",
        (later.run_id, 2, 4): "",
    }
    told = command(tmp_path, "gaps", code=1)
    assert "2 of numbers (1 explained, 0 unproven), 1 without a reason" in told
    assert f"acme/{later.run_id}: producer {later.producer_id}: numbers 2 to 3: nobody knows why" in told


@pytest.mark.parametrize("tenant", [(), ("--tenant", "acme")])
def test_what_has_expired_is_explained(storage: LocalFolder, tmp_path: Path, tenant: tuple[str, ...]) -> None:
    who, lost = logging(4), logging(3)
    add(storage, [who.created(), who.logged(1, 2)])
    add(storage, [who.logged(3, 2), who.ended()], received=now_ms())
    report(tmp_path, "retain", "--tenant", "acme", "--days", "30", "--reason", "a test")
    assert report(tmp_path, "expire", "--yes")["records"] == 2
    found = report(tmp_path, "gaps", *tenant)
    assert [(one["first"], one["end"], one["reason"]) for one in found["numbers"]] == [(0, 3, "erased")]
    assert (found["erased"], found["unreadable"], found["unproven"]) == (2, 0, [])
    add(storage, [lost.created(), lost.logged(3, 1), lost.ended()], received=now_ms())
    found = report(tmp_path, "gaps", *tenant, code=1)
    assert sorted((one["first"], one["reason"]) for one in found["numbers"]) == [(0, "erased"), (1, "")]


def test_a_run_without_an_end_of_its_own_is_unproven(storage: LocalFolder, tmp_path: Path) -> None:
    ended, died, silent, again, running, unheard = (logging(1) for _ in range(6))
    for who in (ended, died, silent, again, running):
        add(storage, [who.created(), who.logged(1, 1)])
    add(storage, [ended.ended(), died.ended("FAILED", inferred=True), reaped(silent), reaped(again), again.ended()])
    add(storage, [reaped(running), beat(running), beat(unheard)])
    found = report(tmp_path, "gaps")
    assert found["numbers"] == []
    assert {one["run_id"]: one["why"] for one in found["unproven"]} == {
        silent.run_id: completeness.SILENT,
        running.run_id: completeness.NO_END,
        unheard.run_id: completeness.NO_END,
    }
    told = command(tmp_path, "gaps")
    assert "3 runs unproven" in told
    assert "matih sync" in told


def beat(who: Producer) -> TrackingEvent:
    return TrackingEvent("", who.tenant, START, events.Heartbeat(who.run_id, who.producer_id, who.attempt), host="node")


def reaped(who: Producer) -> TrackingEvent:
    """The end that the reaper gives a run."""
    payload = events.RunEnded(
        who.run_id, "reaper", 0, "FAILED", who.attempt, owner=True, end_time=START, inferred=True, silent=True
    )
    return TrackingEvent(identity.event_id(who.run_id, "reaper", 1, "RunEnded"), who.tenant, START, payload)


def test_the_numbers_of_the_api_prove_nothing(storage: LocalFolder, tmp_path: Path) -> None:
    author, numbers, mine = Author("acme"), Numbers(), logging(1)
    runs = [identity.new_run_id() for _ in range(2)]
    home = ExperimentView(identity.experiment_id("acme", "e"), "1", "acme", "e", "", "active", 0, 0)
    made = [run_created(author, numbers, run_id, home, "", "", {}) for run_id in runs]
    numbers.take(3)
    (logged,) = run_logged(author, numbers, mine.run_id, [LoggedMetric("a", 1.0, 0, START)])
    add(storage, [*made, mine.created(), mine.logged(1, 1), logged, mine.ended()])
    found = report(tmp_path, "gaps")
    assert [(one["first"], one["end"], one["unproven"]) for one in found["numbers"]] == [(2, 5, True)]
    assert found["unproven"] == [], "an API's process holds nothing back"
    assert "1 of numbers (0 explained, 1 unproven), 0 without a reason" in command(tmp_path, "gaps")


def event_of(who: Producer, first: int, count: int, partition: int, offset: int) -> ArchivedEvent:
    group = EntryGroup(who.producer_id, first, [[]], [0] * count)
    event = TrackingEvent("", "acme", START, RunLogged(who.run_id, [group]))
    return ArchivedEvent(TOPIC_ID.partition(partition), ArchivedRecord(offset, START, 1, None, None), event)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 6)), min_size=1, max_size=40), st.integers(0, 6))
def test_every_number_is_there_or_missing(parts: list[tuple[int, int]], spans_max: int) -> None:
    who, sequences = Producer(tenant="acme"), Sequences()
    there = {number for first, count in parts for number in range(first, first + count)}
    for offset, (first, count) in enumerate(parts):
        sequences.take(event_of(who, first, count, 0, offset))
        sequences._producers[who.producer_id].spans_max = min(
            sequences._producers[who.producer_id].spans_max, spans_max
        )
    missing = {number for one in sequences.gaps([]) for number in range(one.first, one.end)}
    assert missing == set(range(max(there) + 1)) - there


def test_what_comes_in_any_order_needs_no_more_room_than_its_gaps() -> None:
    who, sequences = Producer(tenant="acme"), Sequences()
    numbers = list(range(20_000))
    random.Random(7).shuffle(numbers)
    for offset, number in enumerate(numbers * 2):
        sequences.take(event_of(who, number, 1, 0, offset))
    assert sequences.gaps([]) == []
    assert len(sequences._producers[who.producer_id].spans) <= completeness._SPANS_MAX


def reasons(absent: list[GapEntry], *parts: tuple[int, int, int, int]) -> list[str]:
    """Of what is missing of a producer's numbers, whose parts are (first, count, partition, offset)."""
    who, sequences = Producer(tenant="acme"), Sequences()
    for part in parts:
        sequences.take(event_of(who, *part))
    return [one.reason.rpartition(": ")[2] for one in sequences.gaps(absent)]


def test_the_gap_stands_between_the_neighbours() -> None:
    absent = [GapEntry(PLACE, 4, 6, "gone"), GapEntry(TOPIC_ID.partition(1), 0, 9, "late")]
    assert reasons(absent, (0, 1, 0, 3), (2, 1, 0, 6)) == ["gone"]
    assert reasons(absent, (0, 1, 0, 2), (2, 1, 0, 3)) == [""]
    assert reasons(absent, (0, 1, 0, 6), (2, 1, 0, 20)) == [""]
    assert reasons(absent, (0, 1, 0, 6), (1, 1, 0, 7), (0, 2, 0, 20), (3, 1, 0, 21)) == [""], "published again"
    assert reasons(absent, (2, 1, 0, 6), (0, 1, 0, 9)) == ["gone"], "the first one stood in the gap too"
    assert reasons(absent, (0, 1, 0, 7), (2, 1, 1, 9)) == ["late"], "moved to another topic"
    assert reasons(absent, (0, 1, 0, 7), (2, 1, 2, 9)) == [""]
