"""Experiments that are known while MLflow is away: from reads, and from what stands on the topic, applied or not."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from matih_api.pending.met import MetExperiments
from matih_api.pending.pendings import Pendings
from matih_schemas import codec, events, identity
from matih_schemas.events import TrackingEvent
from matih_tracking.reading.views import ExperimentView

T = 1_700_000_000_000
E = identity.experiment_id("acme", "churn")
CREATED = events.ExperimentCreated(E, "churn", "who leaves", None, {"a": "b"})


def event(number: int, payload: events.Payload, tenant: str = "acme") -> TrackingEvent:
    return TrackingEvent(f"00000000-0000-4000-8000-{number:012d}", tenant, T + number, payload)


def run_created(name: str = "churn") -> events.RunCreated:
    return events.RunCreated("0" * 32, "a" * 32, 0, E, name, "r", T, owner=True)


class Record:
    def __init__(self, offset: int, one: TrackingEvent, key: bytes | None = None) -> None:
        self.offset, self.key, self.value = offset, key or codec.event_key(one), codec.encode(one)
        self.headers, self.timestamp = codec.headers(one), one.occurred_at


def shown(found: ExperimentView | None) -> Any:
    return found and (found.tenant_id, found.name, found.description, found.stage)


def test_what_was_applied_before_the_start_is_known_though_it_is_not_kept() -> None:
    """A process that starts in an outage reads the topic's last minutes back."""
    pendings = Pendings(1 << 20, grace=0.0)
    pendings.committed(0, 99)
    change = events.ExperimentUpdated(E, None, "who leaves, and when", {})
    pendings.take(0, [Record(0, event(0, CREATED)), Record(1, event(1, change))])
    assert len(pendings.overlay) == 0
    assert shown(pendings.experiments.get({"acme"}, E)) == ("acme", "churn", "who leaves, and when", "active")
    pendings.take(0, [Record(2, event(2, events.ExperimentDeleted(E)))])
    assert shown(pendings.experiments.get(None, E)) == ("acme", "churn", "who leaves, and when", "deleted")
    pendings.take(0, [Record(1, event(1, change)), Record(2, event(2, events.ExperimentDeleted(E)))])  # once more
    pendings.take(0, [Record(3, event(3, events.ExperimentRestored(E)))])
    assert shown(pendings.experiments.get(None, E)) == ("acme", "churn", "who leaves, and when", "active")
    assert pendings.experiments.get({"another"}, E) is None


def test_a_run_alone_says_its_experiment_and_undoes_nothing_of_what_is_known() -> None:
    known = MetExperiments()
    known.told(event(0, run_created()))
    assert shown(known.get(None, E)) == ("acme", "churn", "", "active")
    read = ExperimentView(E, "7", "acme", "renamed", "", "active", T, T, "read", {"x": "y"})
    known.meet(read)
    known.told(event(1, run_created()))
    assert known.get(None, E) == read
    known.told(event(2, events.ExperimentUpdated(E, "again", None, {"z": "1"})))
    found = known.get(None, E)
    assert found is not None
    assert (found.name, found.mlflow_id, found.tags) == ("again", "7", {"x": "y", "z": "1"})


def test_a_deletion_is_known_whichever_partition_is_read_first() -> None:
    both: list[events.Payload] = [run_created(), events.ExperimentDeleted(E)]
    for order in permutations(both):
        known = MetExperiments()
        for number, payload in enumerate(order):
            known.told(event(number, payload))
        assert shown(known.get(None, E)) == ("acme", "churn", "", "deleted")
    nameless = MetExperiments()
    nameless.told(event(0, events.ExperimentDeleted(E)))
    assert nameless.get(None, E) is None  # what has no name can't be answered with


def test_another_tenant_can_not_speak_for_an_experiment() -> None:
    pendings = Pendings(1 << 20, grace=0.0)
    pendings.take(0, [Record(0, event(0, CREATED))])
    pendings.take(0, [Record(1, event(1, events.ExperimentDeleted(E), "mallory"))])
    pendings.take(0, [Record(2, event(2, events.ExperimentDeleted(E)), b"mallory/" + E.encode())])  # contradicts itself
    assert shown(pendings.experiments.get({"acme"}, E)) == ("acme", "churn", "who leaves", "active")


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5_000)), max_size=80))
def test_memory_is_bounded_and_the_latest_stay(some: list[tuple[int, int]]) -> None:
    known = MetExperiments(most=10, most_bytes=20_000)
    for number, size in some:
        known.meet(ExperimentView(str(number), "1", "acme", "n", "", "active", T, T, "d" * size))
        assert len(known) <= 10
        assert known._bytes <= 20_000
        assert known.get(None, str(number)) is not None
    latest = list(dict.fromkeys(number for number, _ in reversed(some)))[:3]
    assert all(known.get(None, str(number)) is not None for number in latest)
