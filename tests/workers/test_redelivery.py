"""Whatever is delivered again, in whatever cuts, the same is in the store in the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.workers.dumps import dump
from tests.workers.journals import START, Entry, Producer
from tests.workers.views import Bench, MemoryBench, MlflowBench, View

from matih_schemas.status import StatusOrder
from matih_workers.operations import operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from matih_schemas.events import TrackingEvent

KEYS = ("a", "b/c")
VALUES = st.sampled_from([0.0, 1.5, -2.0, float("nan"), float("inf"), 1e300])
ENTRIES = st.builds(
    Entry,
    metrics=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2),
    params=st.dictionaries(st.sampled_from(("p", "q")), st.sampled_from(("1", "2", "x" * 70)), max_size=1),
    tags=st.dictionaries(st.sampled_from(("t", "u")), st.sampled_from(("new", "old", "")), max_size=1),
    step=st.integers(-1, 2),
    time=st.integers(START, START + 2),
)


@dataclass
class Delivery:
    """The events of one run in the order of its partition, and how a worker takes them.

    Attributes:
        published: with everything that came again.
        takes: (from, to) offsets of the batches: a worker that died begins again at an earlier one.
    """

    published: list[TrackingEvent]
    takes: list[tuple[int, int]]


@st.composite
def publishings(draw: st.DrawFn, producer: Producer) -> list[TrackingEvent]:
    """One producer's events, cut at will; from time to time its shipper begins again at an earlier entry."""
    events, rounds = [], draw(st.integers(1, 3))
    for number in range(rounds):
        # The first goes from the beginning to the end; another shipper may be killed on its way.
        start = draw(st.integers(0, len(producer.entries))) if number else 0
        stop = draw(st.integers(start, len(producer.entries))) if number else len(producer.entries)
        if start == 0:
            events.append(producer.created())
        position = max(1, start)
        while position <= stop:
            count = min(draw(st.integers(1, 3)), stop - position + 1)
            events.append(producer.logged(position, count))
            position += count
    ended = producer.ended(draw(st.sampled_from(("FINISHED", "FAILED"))), inferred=draw(st.booleans()))
    return [*events, ended] if draw(st.booleans()) else events


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    owner = Producer(entries=draw(st.lists(ENTRIES, max_size=6)))
    others = [
        Producer(
            run_id=owner.run_id,
            owner=rank == 9,
            rank=rank,
            attempt=START + rank,
            entries=draw(st.lists(ENTRIES, max_size=3)),
        )
        for rank in draw(st.lists(st.sampled_from((1, 9)), max_size=2, unique=True))
    ]
    queues = [draw(publishings(producer)) for producer in (owner, *others)]
    published: list[TrackingEvent] = []
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        published.append(queue.pop(0))
    takes, position = [], 0
    while position < len(published):
        end = draw(st.integers(position + 1, min(len(published), position + 4)))
        takes.append((position, end))
        # Acknowledged, or not: then another worker takes from there again.
        position = draw(st.integers(position, end)) if draw(st.integers(0, 3)) == 3 else end
    return Delivery(published, takes)


def apply(bench: Bench, events: Sequence[TrackingEvent], *, redriven: bool = False) -> None:
    changes = [replace(change, redriven=redriven) for event in events if (change := operations(event)) is not None]
    assert bench.store.apply(changes) == {}


def once(delivery: Delivery) -> View | None:
    """The state after each event came once, in the order of first arrival, one by one."""
    bench = MemoryBench()
    for event in delivery.published:
        apply(bench, [event])
    return bench.view(run_of(delivery))


def run_of(delivery: Delivery) -> str:
    return delivery.published[0].payload.run_id  # type: ignore[union-attr]


@given(deliveries())
@settings(max_examples=300, deadline=None)
def test_redelivery_in_any_cuts_changes_nothing(delivery: Delivery) -> None:
    bench = MemoryBench()
    for start, end in delivery.takes:
        apply(bench, delivery.published[start:end])
    assert bench.view(run_of(delivery)) == once(delivery)


@given(deliveries(), st.integers(0, 20))
@settings(max_examples=200, deadline=None)
def test_a_tail_that_was_refused_and_redriven_in_its_order_is_as_if_it_had_come_late(d: Delivery, cut: int) -> None:
    bench = MemoryBench()
    for event in d.published[:cut]:
        apply(bench, [event])
    for _ in range(2):  # redriven twice changes nothing
        for event in d.published[cut:]:
            apply(bench, [event], redriven=True)
    assert bench.view(run_of(d)) == once(d)


@given(deliveries(), st.sets(st.integers(0, 20)))
@settings(max_examples=200, deadline=None)
def test_redriven_events_fill_what_is_missing_and_overwrite_nothing_newer(d: Delivery, dead: set[int]) -> None:
    """Any events but the first may have been dead letters: points, params and the status are as if they had not."""
    bench = MemoryBench()
    letters = [event for index, event in enumerate(d.published) if index in dead - {0}]
    for index, event in enumerate(d.published):
        if index not in dead - {0}:
            apply(bench, [event])
    before = bench.view(run_of(d))
    for event in letters:
        apply(bench, [event], redriven=True)
    after, clean = bench.view(run_of(d)), once(d)
    assert before is not None
    assert after is not None
    assert clean is not None
    assert (after.points, after.status, set(after.params), set(after.tags)) == (
        *(clean.points, clean.status, set(clean.params)),
        set(clean.tags) | set(after.tags) & {"matih.param_conflicts"},
    )


@given(deliveries())
@settings(max_examples=200, deadline=None)
def test_the_state_is_the_one_that_the_rules_say(delivery: Delivery) -> None:
    """Worked out a second time, straight from the rules and not with the code under test."""
    view = once(delivery)
    assert view is not None
    points, params, conflicts, tags, marks, order = set(), {}, set(), {}, {}, None
    for event in delivery.published:
        body = event.payload
        for group in getattr(body, "groups", []):
            values = iter(group.value)
            for entry, shape in enumerate(group.shape):
                points |= {
                    (key, repr(_stored(next(values))), group.time[entry], group.step[entry])
                    for key in group.shapes[shape]
                }
            for pair in group.params:
                if params.setdefault(pair.key, pair.value) != pair.value:
                    conflicts.add(pair.key)
            for pair in group.tags:
                if group.first_sequence + pair.entry > marks[group.producer_id]:
                    tags[pair.key] = pair.value
            marks[group.producer_id] = max(marks[group.producer_id], group.last_sequence)
        if hasattr(body, "owner"):
            marks[body.producer_id] = max(marks.get(body.producer_id, -1), body.sequence)
            if body.owner:
                rank = 0 if not hasattr(body, "status") else 1 if body.inferred else 2
                candidate = StatusOrder(body.attempt, rank, event.occurred_at, event.event_id)
                order = max(order or candidate, candidate)
    assert view.points == points
    assert view.params == params
    assert {key: value for key, value in view.tags.items() if key in ("t", "u")} == tags
    assert {key: value for key, value in view.tags.items() if key.startswith("matih.applied.")} == {
        f"matih.applied.{producer}": str(mark) for producer, mark in marks.items()
    }
    assert view.tags.get("matih.param_conflicts", "") == ",".join(sorted(conflicts))
    assert view.tags.get("matih.status") == (order.text() if order else None)


def _stored(value: float) -> float:
    return min(value, 1.7976931348623157e308) if value == value else value


def test_the_stores_agree_with_the_model_and_a_second_delivery_changes_no_row(
    mlflow_bench: MlflowBench, request: pytest.FixtureRequest
) -> None:
    uri = mlflow_bench.uri
    database = request.getfixturevalue("postgres_uri") if uri.startswith("http") else uri

    @given(deliveries())
    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def agree(delivery: Delivery) -> None:
        for position, (start, end) in enumerate(delivery.takes):
            if position % 2:
                mlflow_bench.store.forget()
            apply(mlflow_bench, delivery.published[start:end])
        assert mlflow_bench.view(run_of(delivery)) == once(delivery)
        mlflow_ids = {run.info.run_id for run in mlflow_bench.runs(run_of(delivery))}
        before = dump(database, mlflow_ids)
        mlflow_bench.restart()
        apply(mlflow_bench, delivery.published)
        for event in delivery.published:
            apply(mlflow_bench, [event])
        assert dump(database, mlflow_ids) == before
        assert len(before["runs"]) == len(before["experiments"]) == 1

    agree()
