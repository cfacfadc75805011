"""Which records are meant: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matih_schemas import codec, events
from matih_schemas.errors import InvalidEvent
from matih_schemas.tenant_labels import UNKNOWN
from matih_workers.of_experiments import OfExperiments

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_workers.records import Received

KINDS = tuple(
    sorted(
        kind.__name__
        for kind in (
            events.RunCreated,
            events.RunLogged,
            events.RunEnded,
            events.RunDeleted,
            events.RunRestored,
            events.ExperimentCreated,
            events.ExperimentUpdated,
            events.ExperimentDeleted,
            events.ExperimentRestored,
            events.Heartbeat,
        )
    )
)


@dataclass(frozen=True)
class Selection:
    """What is to be replayed; empty sets and None mean all.

    Attributes:
        runs: run ids.
        experiments: names or ids.
        since, until: when Kafka received them, in ms since the epoch: from the first on, before the second.
        kinds: of `KINDS`.
    """

    tenants: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    experiments: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    kinds: frozenset[str] = frozenset()

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def is_in_time(self, record: Received) -> bool:
        """Whether Kafka received it in the time that is meant."""
        begun = self.since is None or record.timestamp_ms >= self.since
        return begun and (self.until is None or record.timestamp_ms < self.until)

    def is_of_key(self, record: Received) -> bool:
        """Whether its key leaves it possible that the record is meant."""
        if not (self.tenants or self.runs):
            return True
        tenant, _, subject = (record.key or b"").decode("utf-8", "replace").partition("/")
        of_run = not self.runs or subject in self.runs
        return of_run and (not self.tenants or tenant in self.tenants)

    def text(self) -> str:
        """The same for the same selection, so that a replay of the same arguments finds its progress."""
        sets = (self.tenants, self.runs, self.experiments, self.kinds)
        return repr([*(sorted(some) for some in sets), self.since, self.until])


class Chooser:
    """Says of each record, in the order of its partition, whether it is meant."""

    def __init__(self, selection: Selection) -> None:
        """Nothing is known yet of the runs of the experiments that are meant."""
        self.selection = selection
        self._of = OfExperiments(selection.experiments)

    def wants(self, record: Received) -> bool:
        """Whether the record is meant. What can't be read is, unless only some kinds or experiments are."""
        chosen = self.selection
        in_time = chosen.is_in_time(record)
        if not chosen.is_of_key(record) or not (in_time or chosen.experiments):
            return False
        if not (chosen.kinds or chosen.experiments):
            return True
        try:
            event = codec.decode(record.value or b"")
        except InvalidEvent:
            return False
        of_experiment = not chosen.experiments or self._of.takes(event)  # first: also what came too early tells of runs
        return of_experiment and in_time and (not chosen.kinds or event.kind in chosen.kinds)

    def learn(self, record: Received) -> None:
        """Takes a record that was replayed before, so that what follows of its run is known."""
        if self.selection.experiments:
            self.wants(record)


def bringing(runs: frozenset[str], experiments: frozenset[str]) -> Callable[[Received], bool]:
    """Chooses all events of these runs, and those that make or change these experiments; by their ids."""

    def wants(record: Received) -> bool:
        subject = (record.key or b"").decode("utf-8", "replace").partition("/")[2]
        if subject in runs or subject in experiments:
            return True
        return bool(experiments) and _home(record) in experiments

    return wants


def _home(record: Received) -> str:
    """The experiment in which the record makes a run; empty if it makes none."""
    try:
        payload = codec.decode(record.value or b"").payload
    except InvalidEvent:
        return ""
    return payload.experiment_id if isinstance(payload, events.RunCreated) else ""


def tenant_of(record: Received) -> str:
    """Whose the record is, by its key."""
    return (record.key or b"").decode("utf-8", "replace").partition("/")[0] or UNKNOWN
