"""Which dead letters are open, and what a redriven one says: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_schemas.errors import InvalidEvent
from matih_workers.dead_letters import headers
from matih_workers.dead_letters.letter import InvalidId, Letter, LetterId, Place, letter, redriven_record
from matih_workers.dead_letters.publishing import DeadLetter, as_record
from matih_workers.dead_letters.register import Register, Selection, settlement, worth_redriving
from matih_workers.moments import InvalidMoment, moment
from matih_workers.records import Received

if TYPE_CHECKING:
    from matih_kafka.publisher import Record

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)


@dataclass
class Stored:
    """A record as a consumer gives it."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int


def died(
    place: Place, reason: str = "unknown_run", subject: str = "acme/r1", at: int = 1000, **given: object
) -> Record:
    """What the worker publishes for a record at a place."""
    record = Received(*place, subject.encode(), b"value", timestamp_ms=at, **given)  # type: ignore[arg-type]
    return as_record(DeadLetter(record, InvalidEvent(reason, "why"), first_failed_at=at + 1))  # type: ignore[arg-type]


def stored(record: Record, partition: int, offset: int) -> Stored:
    return Stored(partition, offset, record.key, record.value, record.headers, record.timestamp_ms or 0)


def topic(*records: Record) -> Register:
    """The register of one partition with these records."""
    register = Register()
    for offset, record in enumerate(records):
        register.add(stored(record, 0, offset))
    return register


def first(register: Register) -> Letter:
    return register.open()[0]


def test_a_letter_says_where_it_comes_from() -> None:
    found = first(topic(died(Place("t", 3, 17), subject="acme/r1", at=5000)))
    assert (found.id, found.tenant_id, found.subject, found.reason) == (LetterId(0, 0), "acme", "r1", "unknown_run")
    assert (found.place, found.origin) == (Place("t", 3, 17), Place("t", 3, 17))
    assert (found.failed_at, found.received_at, found.attempts, found.redriven) == (5001, 5000, 1, 0)


def test_a_record_without_our_headers_is_a_letter_too() -> None:
    found = letter(Stored(1, 2, b"garbage", b"x", (), 7))
    assert (found.tenant_id, found.subject, found.reason, found.failed_at) == ("?", "?", "?", 7)


def test_two_letters_of_one_record_are_one() -> None:
    place = Place("t", 0, 5)
    register = topic(died(place), died(place))
    assert [one.id for one in register.open()] == [LetterId(0, 0)]
    note = settlement(first(register), b"acme/r1", "redriven", "me@here")
    assert topic(died(place), died(place), note).open() == []
    assert topic(died(place), note, died(place)).open() == []


def test_another_record_at_the_same_offset_of_a_topic_made_anew_is_another_letter() -> None:
    place = Place("t", 0, 5)
    assert len(topic(died(place, at=1000), died(place, at=2000)).open()) == 2


def test_a_redriven_letter_that_fails_again_is_open_again_with_its_history() -> None:
    place = Place("t", 0, 5)
    one = first(topic(died(place, at=1000)))
    sent = redriven_record(one, b"acme/r1", b"value", died(place, at=1000).headers)
    assert headers.text(sent.headers, headers.REASON) is None
    again = died(Place("t", 0, 90), at=9000, headers=sent.headers)
    found = first(topic(died(place, at=1000), settlement(one, b"acme/r1", "redriven", "me"), again))
    assert (found.id, found.origin, found.place) == (LetterId(0, 2), place, Place("t", 0, 90))
    assert (found.redriven, found.attempts, found.failed_at, found.received_at) == (1, 2, 1001, 1000)
    names = [name for name, _ in again.headers]
    assert len(names) == len(set(names))


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_letters_come_in_the_order_of_their_records(order: list[int], redriven: set[int]) -> None:
    """Those that failed again stand further back in the topic, with a later place: their first place decides."""
    records = []
    for number in order:
        carried = ((headers.REDRIVEN_FROM, f"t/0@{number}".encode()),) if number in redriven else ()
        records.append(died(Place("t", 0, number + 100 * (number in redriven)), headers=carried))
    assert [one.origin.offset for one in topic(*records).open()] == list(range(6))


def test_what_settles_nothing_changes_nothing() -> None:
    register = topic(died(Place("t", 0, 5)))
    one = first(register)
    other = Letter(**{**vars(one), "id": LetterId(0, 77)})
    register.add(stored(settlement(other, b"acme/r1", "purged", "me"), 0, 1))
    register.add(Stored(0, 2, b"acme/r1", b"", ((headers.SETTLED, b"burnt"), (headers.LETTER, b"nonsense")), 0))
    assert register.open() == [one]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(), {0, 1, 2}),
        (Selection(tenants=frozenset({"acme"})), {0, 1}),
        (Selection(runs=frozenset({"r2"})), {1}),
        (Selection(reasons=frozenset({"poison"})), {1}),
        (Selection(since=2001), {1, 2}),
        (Selection(until=2001), {0}),
        (Selection(ids=frozenset({LetterId(0, 2)})), {2}),
        (Selection(ids=frozenset({LetterId(0, 2)}), tenants=frozenset({"acme"})), set()),
    ],
)
def test_selections(selection: Selection, found: set[int]) -> None:
    register = topic(
        died(Place("t", 0, 1), "unknown_run", "acme/r1", 1000),
        died(Place("t", 0, 2), "poison", "acme/r2", 2000),
        died(Place("t", 0, 3), "unknown_run", "other/r3", 3000),
    )
    assert {one.id.offset for one in register.open(selection)} == found


def test_what_another_try_cannot_change_is_left_unless_it_is_named() -> None:
    register = topic(died(Place("t", 0, 1), "malformed"), died(Place("t", 0, 2), "poison"))
    mendable, others = worth_redriving(register.open(), Selection())
    assert ([one.reason for one in mendable], [one.reason for one in others]) == (["poison"], ["malformed"])
    assert worth_redriving(register.open(), Selection(reasons=frozenset({"malformed", "poison"})))[1] == []
    assert worth_redriving(register.open(), Selection(ids=frozenset({LetterId(0, 0)})))[1] == []


def test_nothing_is_freed_from_the_first_open_letter_on() -> None:
    done, still = died(Place("t", 0, 1)), died(Place("t", 0, 2))
    register = topic(done, still)
    register.add(stored(settlement(first(register), b"acme/r1", "purged", "me"), 0, 2))
    assert register.free_until({0: 3, 1: 8}) == {0: 1, 1: 8}


@pytest.mark.parametrize("text", ["", "3", "3@", "@3", "-1@2", "3@x"])
def test_no_id(text: str) -> None:
    with pytest.raises(InvalidId, match="PARTITION@OFFSET"):
        LetterId.parse(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T08:00", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00Z", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00+01:00", "2026-01-31T07:00:00+00:00"),
        ("90s", "2026-01-31T11:58:30+00:00"),
        ("2h", "2026-01-31T10:00:00+00:00"),
        ("3d", "2026-01-28T12:00:00+00:00"),
    ],
)
def test_moments(text: str, wanted: str) -> None:
    assert moment(text, NOW) == int(datetime.fromisoformat(wanted).timestamp() * 1000)


@pytest.mark.parametrize("text", ["", "yesterday", "2h ago", "31.1.2026"])
def test_no_moment(text: str) -> None:
    with pytest.raises(InvalidMoment, match="2026-01-31"):
        moment(text, NOW)
