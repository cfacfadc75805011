"""What is pending, folded over what is stored, is what the worker makes of all of it; and memory is bounded."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from matih_api.pending.fold import fold_experiment, fold_run, with_experiment
from matih_api.pending.overlay import Overlay, Pending, pending
from matih_api.pending.pendings import Pendings
from matih_schemas import codec, events, identity
from matih_schemas.events import EntryGroup, Pair, TrackingEvent
from matih_tracking.reading.views import ExperimentView, MetricPoint, RunView
from matih_workers.operations import operations
from matih_workers.stores.memory import MemoryStore

T = 1_700_000_000_000
RUN = "0" * 31 + "1"
EXPERIMENT = identity.experiment_id("acme", "e")
PRODUCERS = [char * 32 for char in "ab"]
VALUES = st.sampled_from([1.5, -2.25, 3.0, float("nan"), float("inf"), float("-inf")])  # NaN is compared as 0
ACTIONS = st.one_of(
    st.tuples(st.just("log"), st.integers(0, 1), st.lists(st.tuples(st.sampled_from("xy"), VALUES, st.integers(0, 2)))),
    st.tuples(st.just("param"), st.integers(0, 1), st.sampled_from("pq")),
    st.tuples(st.just("tag"), st.integers(0, 1), st.sampled_from("ts")),
    st.tuples(st.just("end"), st.integers(0, 1), st.sampled_from(["FINISHED", "FAILED", "KILLED"])),
    st.tuples(st.just("delete"), st.just(0), st.none()),
    st.tuples(st.just("restore"), st.just(0), st.none()),
    st.tuples(st.just("resume"), st.integers(0, 1), st.none()),
)


def event(number: int, payload: events.Payload) -> TrackingEvent:
    return TrackingEvent(f"00000000-0000-4000-8000-{number:012d}", "acme", T + number, payload)


def created(number: int, producer: str, *, owner: bool = True) -> TrackingEvent:
    stored = {"t": f"made {number}"}
    return event(
        number,
        events.RunCreated(RUN, producer, number, EXPERIMENT, "e", f"name {number}", T + number, owner, tags=stored),
    )


def group(number: int, producer: str, points: list[Any] = [], **pairs: list[Pair]) -> TrackingEvent:  # noqa: B006
    made = EntryGroup(producer, number, shapes=[[]], shape=[0], time=[T + number], step=[0])
    if points:
        made = EntryGroup(producer, number * 100)
        for index, (key, value, step) in enumerate(points):
            made.shapes.append([key])
            made.shape.append(index)
            made.value.append(value)
            made.step.append(step)
            made.time.append(T + number % 3)
    for kind, some in pairs.items():
        setattr(made, kind, some)
    made.first_sequence = number * 100
    return event(number, events.RunLogged(RUN, [made]))


def events_of(actions: list[Any]) -> list[TrackingEvent]:
    """A run's history: numbers rise, as a topic's do; nothing is written to it while it is deleted."""
    found, deleted = [created(1, PRODUCERS[0])], False
    for number, (what, who, detail) in enumerate(actions, start=2):
        producer = PRODUCERS[who]
        if what in ("delete", "restore"):
            deleted = what == "delete"
            found.append(event(number, events.RunDeleted(RUN) if deleted else events.RunRestored(RUN)))
        elif deleted:
            continue
        elif what == "log" and detail:
            found.append(group(number, producer, detail))
        elif what == "param":
            found.append(group(number, producer, params=[Pair(0, detail, f"v{number}")]))
        elif what == "tag":
            found.append(group(number, producer, tags=[Pair(0, detail, f"v{number}")]))
        elif what == "end":
            end = events.RunEnded(RUN, producer, number * 100, detail, T + 1, owner=True, end_time=T + number)
            found.append(event(number, end))
        elif what == "resume":
            found.append(created(number * 100, producer, owner=who == 0))
    return found


def view(store: MemoryStore) -> RunView | None:
    """The run as a reader shows it."""
    run = store.find(RUN)
    if run is None:
        return None
    latest: dict[str, MetricPoint] = {}
    for key, value, time, step in run.metrics:
        point = MetricPoint(key, value, time, step)
        if key not in latest or order(point) > order(latest[key]):
            latest[key] = point
    return RunView(
        RUN, RUN, "acme", EXPERIMENT, "1", run.tags["mlflow.runName"], run.status, run.start_time, run.end_time,
        "deleted" if run.deleted else "active", "", dict(run.tags), dict(run.params), latest,
    )  # fmt: skip


def order(point: MetricPoint) -> tuple[int, int, float]:
    return point.step, point.timestamp, point.value if point.value == point.value else 0.0


def told(found: RunView | None) -> Any:
    """What an answer has of the run."""
    if found is None:
        return None
    stored = {key: value for key, value in found.tags.items() if not key.startswith("matih.")}
    metrics = {key: (point.step, point.timestamp, str(point.value)) for key, point in found.metrics.items()}
    return found.name, found.status, found.stage, stored, found.params, metrics


@settings(max_examples=300)
@given(st.lists(ACTIONS, max_size=12), st.data())
def test_any_split_of_a_runs_events_folds_to_what_the_worker_makes_of_all(actions: list[Any], data: Any) -> None:
    history = events_of(actions)
    stored_until = data.draw(st.integers(0, len(history)), "applied")
    pending_from = data.draw(st.integers(0, stored_until), "pending from")
    known_until = data.draw(st.integers(stored_until, len(history)), "known")
    stored, whole = MemoryStore(), MemoryStore()
    for store, end in ((stored, stored_until), (whole, known_until)):
        changes = [change for one in history[:end] if (change := operations(one)) is not None]
        assert store.apply(changes) == {}
    folded = fold_run(view(stored), history[pending_from:known_until])
    assert told(folded) == told(view(whole))


EXPERIMENT_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("name"), st.sampled_from("efg")),
        st.tuples(st.just("tags"), st.sampled_from("ab")),
        st.tuples(st.just("delete"), st.none()),
        st.tuples(st.just("restore"), st.none()),
    ),
    max_size=8,
)


def experiment_history(actions: list[Any]) -> list[TrackingEvent]:
    found, deleted = [event(1, events.ExperimentCreated(EXPERIMENT, "e", "first", None, {"a": "0"}))], False
    for number, (what, detail) in enumerate(actions, start=2):
        if what in ("delete", "restore"):
            deleted = what == "delete"
            kind = events.ExperimentDeleted if deleted else events.ExperimentRestored
            found.append(event(number, kind(EXPERIMENT)))
        elif not deleted:
            name = detail if what == "name" else None
            more = {detail: str(number)} if what == "tags" else {}
            found.append(event(number, events.ExperimentUpdated(EXPERIMENT, name, f"d{number}", more)))
    return found


def experiment_view(store: MemoryStore) -> ExperimentView | None:
    one = store.experiments.get(EXPERIMENT)
    if one is None:
        return None
    name, note = one.name.removeprefix("acme/"), one.tags.get("mlflow.note.content", "")
    return ExperimentView(
        EXPERIMENT, "1", "acme", name, "", "deleted" if one.deleted else "active", T, T, note, dict(one.tags)
    )


@given(EXPERIMENT_ACTIONS, st.data())
def test_any_split_of_an_experiments_events_folds_to_the_same(actions: list[Any], data: Any) -> None:
    history = experiment_history(actions)
    stored_until = data.draw(st.integers(0, len(history)), "applied")
    pending_from = data.draw(st.integers(0, stored_until), "pending from")
    stored, whole = MemoryStore(), MemoryStore()
    for store, end in ((stored, stored_until), (whole, len(history))):
        assert store.apply([change for one in history[:end] if (change := operations(one)) is not None]) == {}

    def shown(one: ExperimentView | None) -> Any:
        assert one is not None
        own = {key: value for key, value in one.tags.items() if not key.startswith(("matih.", "mlflow."))}
        return one.name, one.description, one.stage, own

    assert shown(fold_experiment(experiment_view(stored), history[pending_from:])) == shown(experiment_view(whole))


def record(number: int, one: TrackingEvent, *, ours: bool) -> Pending:
    kind = type(one.payload).__name__
    found = pending(number % 3, number, codec.event_key(one), codec.encode(one), kind, ours=ours)
    assert found is not None
    return found


RECORDS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans(), st.integers(0, 5)), max_size=60)


@given(RECORDS, st.integers(1_000, 12_000))
def test_memory_is_bounded_and_nothing_acknowledged_is_dropped(some: list[Any], most: int) -> None:
    overlay, kept, done = Overlay(most), [], dict.fromkeys(range(3), 0)
    for number, (what, which, ours, apply) in enumerate(some):
        payload: events.Payload = events.ExperimentCreated(EXPERIMENT, f"n{which}", "", None, {})
        if what < 3:
            points = EntryGroup(PRODUCERS[0], number, shapes=[["x"]], shape=[0], value=[1.0], time=[T], step=[0])
            payload = events.RunLogged(f"{which:032d}", [points])
        one = record(number, event(number, payload), ours=ours)
        overlay.put(one)
        kept.append((one.partition, number, one.size, ours))
        if apply == 0:
            partition = number % 3
            done[partition] = number + 1
            overlay.applied(partition, number + 1)
        waiting = [item for item in kept if item[1] >= done[item[0]]]
        of_ours = sum(size for _, _, size, is_ours in waiting if is_ours)
        assert overlay.bytes <= max(most, of_ours)
        assert overlay.full == (of_ours >= most)
        assert held(overlay) >= {number for _, number, _, is_ours in waiting if is_ours}
        assert held(overlay) <= {number for _, number, _, _ in waiting}
    for partition in range(3):
        overlay.applied(partition, len(some))
    assert (len(overlay), overlay.bytes, overlay.full) == (0, 0, False)
    assert not any(overlay._partitions.values())
    places = (overlay._objects, overlay._names, overlay._stages, overlay._logged, overlay._others)
    assert not any(places)


def held(overlay: Overlay) -> set[int]:
    """The events that one finds by what they are about."""
    some = [EXPERIMENT, *(f"{which:032d}" for which in range(3))]
    return {one.occurred_at - T for which in some for one in overlay.of(None, which)}


class Record:
    """What a consumer gives."""

    def __init__(self, offset: int, one: TrackingEvent) -> None:
        self.offset, self.key, self.value = offset, codec.event_key(one), codec.encode(one)
        self.headers, self.timestamp = [*codec.headers(one), ("matih_api", b"1")], one.occurred_at


def test_what_is_applied_is_kept_for_the_grace_and_no_longer_though_nothing_comes() -> None:
    now = [0.0]
    pendings = Pendings(1 << 20, grace=5.0, clock=lambda: now[0])
    pendings.take(0, [Record(0, created(1, PRODUCERS[0]))])
    pendings.committed(0, 1)
    now[0] = 4.9
    pendings.committed(0, 1)
    assert len(pendings.overlay) == 1
    now[0] = 5.0
    pendings.committed(0, 1)  # asked every half second, whatever it is
    assert len(pendings.overlay) == 0


def test_what_comes_again_after_a_broken_connection_is_kept_once() -> None:
    pendings = Pendings(1 << 20, grace=5.0)
    some = [Record(0, created(1, PRODUCERS[0])), Record(1, event(2, events.RunDeleted(RUN)))]
    pendings.take(0, some)
    pendings.take(0, some)
    assert len(pendings.overlay) == 2


def test_a_topic_made_anew_begins_anew() -> None:
    pendings = Pendings(1 << 20, grace=0.0)
    pendings.take(0, [Record(offset, event(offset, events.RunDeleted(RUN))) for offset in range(9)])
    pendings.committed(0, 9)
    pendings.made_anew()
    assert len(pendings.overlay) == 0
    pendings.take(0, [Record(0, created(1, PRODUCERS[0]))])
    assert len(pendings.overlay) == 1


def test_a_run_goes_and_comes_back_with_its_experiment_unless_it_was_deleted_alone() -> None:
    run = fold_run(None, [created(1, PRODUCERS[0])])
    assert run is not None
    alone = fold_run(run, [event(2, events.RunDeleted(RUN))])
    assert alone is not None
    away, back = event(3, events.ExperimentDeleted(EXPERIMENT)), event(4, events.ExperimentRestored(EXPERIMENT))
    assert [with_experiment(one, "deleted").stage for one in (run, alone)] == ["deleted", "deleted"]
    assert [with_experiment(one, "active").stage for one in (run, alone)] == ["active", "deleted"]
    overlay = Overlay(1 << 20)
    stages = [overlay.stage("acme", EXPERIMENT)]
    for number, one in enumerate((away, back)):
        overlay.put(record(3 * number, one, ours=True))
        stages.append(overlay.stage("acme", EXPERIMENT))
    assert stages == [None, "deleted", "active"]
    assert overlay.stage("another", EXPERIMENT) is None


def test_what_the_run_has_applied_sets_no_tags_again_even_without_what_came_after_it() -> None:
    history = [created(1, PRODUCERS[0]), group(2, PRODUCERS[0], tags=[Pair(0, "t", "later")])]
    store = MemoryStore()
    assert store.apply([change for one in history if (change := operations(one)) is not None]) == {}
    assert told(fold_run(view(store), history[:1])) == told(view(store))


def test_what_is_applied_before_it_is_read_is_kept_as_long_as_what_came_before_it() -> None:
    now = [0.0]
    pendings = Pendings(1 << 20, grace=5.0, clock=lambda: now[0])
    pendings.take(0, [Record(0, event(1, events.RunDeleted(RUN)))])
    pendings.committed(0, 3)
    pendings.take(0, [Record(1, event(2, events.RunRestored(RUN)))])
    assert len(pendings.overlay) == 2  # else the run would seem to be deleted
    now[0] = 5.0
    pendings.committed(0, 3)
    assert len(pendings.overlay) == 0
    pendings.take(0, [Record(2, event(3, events.RunDeleted(RUN)))])
    assert len(pendings.overlay) == 0
