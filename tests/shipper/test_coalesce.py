"""Coalescing loses, adds and reorders nothing, for any interleaving of any producers, and stays within the limits."""

from __future__ import annotations

import math
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shipper.unpacking import said, unpack

from matih_schemas import codec
from matih_schemas.events import RunEnded, RunLogged
from matih_schemas.limits import EVENT_MAX_BYTES, METRICS_PER_EVENT
from matih_tracking.journal import entries
from matih_tracking.shipper.coalesce import Coalescer
from matih_tracking.shipper.sources import Source

WINDOW = 1.0

times = st.integers(0, 2**41)
steps = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]) | st.integers(0, 1000)
keys = st.sampled_from(["loss", "acc", "lr", "ä/ß", "k" * 250]) | st.text("abc", min_size=1, max_size=3)
values = st.floats(allow_nan=False) | st.sampled_from([0.1, math.inf])
texts = st.text(max_size=20) | st.just("v" * 8000)
pairs = st.dictionaries(keys, texts, max_size=4)
logged = st.one_of(
    st.builds(entries.Metrics, times, steps, st.dictionaries(keys, values, max_size=5)),
    st.builds(entries.Metrics, times, steps, st.dictionaries(keys, values, max_size=2), st.text(max_size=3), texts),
    st.builds(entries.Metrics, times, steps, st.integers(1, 400).map(lambda n: {f"m{i}": i / 7 for i in range(n)})),
    st.builds(entries.Params, times, pairs),
    st.builds(entries.Tags, times, pairs),
)
created = st.builds(entries.Created, times, st.just("t"), st.just("e"), st.just("n"), texts, st.booleans(), tags=pairs)
ended = st.builds(entries.Ended, times, st.sampled_from(["FINISHED", "FAILED", "KILLED"]), texts)
UNREADABLE = (
    b"\xc1",
    b"",
    b"\x93\x63\x01\x02",
    entries.encode((1, 0, 2**63, {"a": 1.0})),
    entries.encode((1, -1, 0, {"a": 1.0})),
    entries.encode((2, 2**63, {"a": "b"})),
    entries.encode((4, 0, "DONE", "")),
)
garbage = st.sampled_from(UNREADABLE)
payloads = st.one_of(logged, created, ended).map(entries.encode) | garbage
# (which producer, its next entries, does the shipper come by afterwards)
turns = st.lists(st.tuples(st.integers(0, 3), st.lists(payloads, max_size=12), st.booleans()), max_size=25)


def source(index: int) -> Source:
    """Four producers: two share a run, one has that run's id in another tenant, one has a run of its own."""
    return Source("ab"[index == 3] * 32, f"{index:016x}", "tu"[index == 2], attempt=7, owner=index == 0)


def run(turns):
    """What was put in, by producer; what came out, in order; what was skipped."""
    coalescer, written, out, skipped, now = Coalescer(), defaultdict(list), [], defaultdict(list), 0.0
    for index, more, takes in turns:
        producer = source(index)
        found = coalescer.add(producer, len(written[producer]), more, now)
        skipped[producer] += [item.number for item in found]
        written[producer] += more
        now += 0.4
        if takes:
            out += coalescer.take(now, WINDOW)
    out += coalescer.take(now, 0.0)
    assert coalescer.next_due(WINDOW) is None
    return written, out, skipped


def published(out):
    return [outgoing for outgoing in out if outgoing.event is not None]


@settings(max_examples=100, deadline=None)
@given(turns)
def test_the_events_hold_exactly_the_entries_in_order_with_their_numbers(turns):
    written, out, skipped = run(turns)
    found = defaultdict(list)
    for outgoing in published(out):
        event = codec.decode(codec.encode(outgoing.event))
        for producer, number, body in unpack(event):
            assert codec.event_key(event).decode().startswith(f"{event.tenant_id}/")
            found[event.tenant_id, producer].append((number, body))
    for producer, its_payloads in written.items():
        expected = [(n, said(entries.decode(p))) for n, p in enumerate(its_payloads) if p not in UNREADABLE]
        assert found.pop((producer.tenant_id, producer.producer_id), []) == expected
        assert skipped[producer] == [n for n, p in enumerate(its_payloads) if p in UNREADABLE]
    assert not found


@settings(max_examples=100, deadline=None)
@given(turns)
def test_every_event_is_within_the_limits(turns):
    for outgoing in published(run(turns)[1]):
        assert len(codec.encode(outgoing.event)) <= EVENT_MAX_BYTES
        if isinstance(outgoing.event.payload, RunLogged):
            groups = outgoing.event.payload.groups
            assert sum(len(group.value) for group in groups) <= METRICS_PER_EVENT
            assert all(len(group.shape) for group in groups)


@settings(max_examples=100, deadline=None)
@given(turns)
def test_upto_never_claims_an_entry_before_it_is_in_an_event_and_all_in_the_end(turns):
    """Whoever stores `upto` after each event, in order, never stores more than what was handed over by then."""
    written, out, skipped = run(turns)
    seen, claimed = defaultdict(set), {}
    for producer, numbers in skipped.items():
        seen[producer.producer_id] |= set(numbers)
    for outgoing in out:
        for producer, number, _ in unpack(outgoing.event) if outgoing.event else ():
            seen[producer].add(number)
        for producer, number in outgoing.upto.items():
            assert seen[producer] >= set(range(number + 1))
            claimed[producer] = number + 1
    assert claimed == {producer.producer_id: len(its) for producer, its in written.items() if its}


@settings(max_examples=50, deadline=None)
@given(turns)
def test_the_same_entries_give_the_same_events(turns):
    first, second = ([outgoing.event for outgoing in published(run(turns)[1])] for _ in range(2))
    assert first == second
    assert len({event.event_id for event in first}) == len(first)


def log(count, start=0):
    return [entries.encode((1, 1000 + n, n, {"a": float(n), "b": 0.0, "c": 1.0})) for n in range(start, start + count)]


def test_nothing_leaves_before_its_time_and_all_of_it_then():
    coalescer = Coalescer()
    coalescer.add(source(0), 0, log(10), now=5.0)
    coalescer.add(source(3), 0, log(1), now=5.5)
    assert coalescer.next_due(WINDOW) == 6.0
    assert coalescer.take(5.9, WINDOW) == []
    assert [list(o.upto.values()) for o in coalescer.take(6.0, WINDOW)] == [[9]]
    assert [list(o.upto.values()) for o in coalescer.take(6.5, WINDOW)] == [[0]]


def test_a_full_event_leaves_at_once():
    coalescer = Coalescer()
    coalescer.add(source(0), 0, log(700), now=5.0)
    assert [list(o.upto.values()) for o in coalescer.take(5.0, WINDOW)] == [[332], [665]]


def test_many_producers_of_a_run_share_one_event():
    coalescer = Coalescer()
    for turn in range(5):
        for index in (0, 1):
            coalescer.add(source(index), turn * 3, log(3, turn * 3), now=5.0)
    (outgoing,) = coalescer.take(9.0, WINDOW)
    assert [len(group.shape) for group in outgoing.event.payload.groups] == [15, 15]
    assert outgoing.upto == {source(0).producer_id: 14, source(1).producer_id: 14}


def test_an_end_leaves_at_once_behind_its_own_entries_and_leaves_other_runs_alone():
    coalescer = Coalescer()
    coalescer.add(source(0), 0, [*log(3), entries.encode(entries.Ended(9, "FINISHED"))], now=5.0)
    coalescer.add(source(3), 0, log(3), now=5.0)
    assert [o.event.kind for o in coalescer.take(5.0, WINDOW)] == ["RunLogged", "RunEnded"]
    assert [o.event.kind for o in coalescer.take(9.0, WINDOW)] == ["RunLogged"]


def test_a_death_follows_the_last_entry():
    coalescer = Coalescer()
    dead = source(1)
    coalescer.add(dead, 4, log(3, 4), now=5.0)
    coalescer.died(dead, 6, 1006)
    logged, end = (o.event for o in coalescer.take(5.0, WINDOW))
    assert logged.payload.groups[0].last_sequence == 6
    assert end.payload == RunEnded(
        dead.run_id,
        dead.producer_id,
        7,
        "FAILED",
        7,
        False,
        1006,
        None,
        True,
        "the process died without ending its run",
    )


def test_cleared_means_forgotten():
    coalescer = Coalescer()
    coalescer.add(source(0), 0, [*log(700), entries.encode(entries.Ended(9, "FINISHED"))], now=5.0)
    coalescer.clear()
    assert coalescer.take(9.0, WINDOW) == []
