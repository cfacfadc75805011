"""Who has fallen silent: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from matih_schemas import events
from matih_schemas.identity import partition_of, record_key
from matih_workers.operations import operations
from matih_workers.reaper.silence import Partition, Sign
from matih_workers.reaper.ticks import tick

if TYPE_CHECKING:
    from matih_schemas.status import StatusOrder

T0 = 1_700_000_000_000
MINUTE = 60_000
SILENCE = 10 * MINUTE


def beat(run: str, at: int, offset: int = 0, *, attempt: int = T0, owner: bool = True) -> Sign:
    payload = events.Heartbeat(run, "p", attempt, owner)
    event = events.TrackingEvent(f"{run}-{at}", "acme", at, payload, host="node-7")
    return Sign(("acme", run), offset, at, event)


def logged(run: str, at: int, offset: int = 0) -> Sign:
    return Sign(("acme", run), offset, at)


def ended(run: str, at: int, attempt: int = T0, *, owner: bool = True) -> Sign:
    payload = events.RunEnded(run, "p", 9, "FINISHED", attempt, owner, at)
    return Sign(("acme", run), 0, at, events.TrackingEvent("e", "acme", at, payload))


def reaped(*signs: Sign) -> list[str]:
    partition = Partition(SILENCE)
    return [end.payload.run_id for sign in signs for end in partition.take(sign)]  # type: ignore[union-attr]


def others(start: int, minutes: int) -> list[Sign]:
    """Somebody else's entries, once a minute."""
    return [logged("other", start + minute * MINUTE) for minute in range(1, minutes + 1)]


def test_a_run_that_falls_silent_while_others_go_on_is_failed_once() -> None:
    assert reaped(beat("a", T0), *others(T0, 30)) == ["a"]
    assert reaped(beat("a", T0), *others(T0, 10)) == []


def test_any_entry_is_a_sign_of_life() -> None:
    signs = [
        sign for minute in range(30) for sign in (logged("a", T0 + minute * MINUTE), *others(T0 + minute * MINUTE, 1))
    ]
    assert reaped(beat("a", T0), *signs) == []


def test_who_never_had_a_heartbeat_is_never_reaped() -> None:
    assert reaped(logged("a", T0), beat("b", T0, owner=False), *others(T0, 60)) == []


def test_who_ended_or_was_deleted_is_never_reaped() -> None:
    deleted = Sign(("acme", "a"), 0, T0, events.TrackingEvent("e", "acme", T0, events.RunDeleted("a")))
    assert reaped(beat("a", T0), ended("a", T0), *others(T0, 60)) == []
    assert reaped(beat("a", T0), deleted, *others(T0, 60)) == []
    assert reaped(beat("a", T0), ended("a", T0, owner=False), *others(T0, 60)) == ["a"]
    assert reaped(beat("a", T0, attempt=T0 + 1), ended("a", T0), *others(T0, 60)) == ["a"]


def test_an_outage_silences_nobody() -> None:
    """Kafka was away for a day: one step, and no more than a minute of it counts."""
    after = T0 + 24 * 60 * MINUTE
    assert reaped(beat("a", T0), logged("other", after), *others(after, 9)) == []
    assert reaped(beat("a", T0), logged("other", after), *others(after, 10)) == ["a"]


def test_a_tick_moves_the_time_of_its_partition_and_asks_nothing() -> None:
    for partition in range(12):
        event = tick(partition, 12, T0)
        assert partition_of(record_key(event.tenant_id, event.payload.run_id), 12) == partition  # type: ignore[union-attr]
        assert operations(event) is None
    ticks = [Sign(("default", "tick-0"), 0, T0 + n * MINUTE, tick(0, 12, T0)) for n in range(1, 12)]
    assert reaped(beat("a", T0), *ticks) == ["a"]


SIGNS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(("beat", "log", "end", "rank")), st.integers(0, 5 * MINUTE)),
    max_size=40,
)


def stream(drawn: list[tuple[str, str, int]]) -> list[Sign]:
    signs, at = [], T0
    for offset, (run, kind, step) in enumerate(drawn):
        at += step
        sign = {
            "beat": beat(run, at),
            "log": logged(run, at),
            "end": ended(run, at),
            "rank": beat(run, at, owner=False),
        }[kind]
        signs.append(sign._replace(offset=offset))
    return signs


@given(SIGNS, st.integers(0, 40))
def test_who_begins_anew_at_the_committed_offset_finds_the_same(drawn: list[tuple[str, str, int]], cut: int) -> None:
    signs = stream(drawn)
    one, first = Partition(SILENCE), []
    for sign in signs[:cut]:
        first += one.take(sign)
    another, needed = Partition(SILENCE), one.needed
    again = [end for sign in signs[needed:cut] for end in another.take(sign)]
    assert {end.event_id for end in again} <= {end.event_id for end in first}
    for sign in signs[cut:]:
        assert one.take(sign) == another.take(sign)
    assert one.needed == another.needed or not signs[needed:]


def order(event: events.TrackingEvent) -> StatusOrder:
    change = operations(event)
    assert change is not None
    assert change.status is not None  # type: ignore[union-attr]
    return change.status.order  # type: ignore[union-attr]


def test_the_next_heartbeat_takes_the_end_back_and_a_said_end_stands_above_both() -> None:
    partition = Partition(SILENCE)
    last = beat("a", T0 + MINUTE)
    (end,) = [found for sign in (last, *others(T0 + MINUTE, 20)) for found in partition.take(sign)]
    later = beat("a", T0 + 2 * MINUTE)
    said = events.RunEnded("a", "p", 9, "FINISHED", T0, True, T0)
    assert last.event is not None
    assert later.event is not None
    said_end = replace(end, payload=said, occurred_at=T0)
    died = replace(end, payload=replace(said, inferred=True), occurred_at=T0)
    assert order(last.event) < order(end) < order(later.event) < order(died) < order(said_end)
    requeued = beat("a", T0, attempt=T0 + 1)
    assert requeued.event is not None
    assert order(said_end) < order(requeued.event)
