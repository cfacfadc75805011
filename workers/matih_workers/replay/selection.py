"""Which records are meant: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matih_schemas import codec, events
from matih_schemas.errors import InvalidEvent
from matih_schemas.identity import experiment_id
from matih_schemas.tenant_labels import UNKNOWN

if TYPE_CHECKING:
    from matih_schemas.events import TrackingEvent
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

    def may_want(self, record: Received) -> bool:
        """Whether key and time leave it possible that the record is meant."""
        if self.since is not None and record.timestamp_ms < self.since:
            return False
        if self.until is not None and record.timestamp_ms >= self.until:
            return False
        if not (self.tenants or self.runs):
            return True
        tenant, _, subject = (record.key or b"").decode("utf-8", "replace").partition("/")
        of_run = not self.runs or subject in self.runs
        return of_run and (not self.tenants or tenant in self.tenants)

    def text(self) -> str:
        """The same for the same selection, so that a replay of the same arguments finds its progress."""
        sets = (self.tenants, self.runs, self.experiments, self.kinds)
        return repr([*(sorted(some) for some in sets), self.since, self.until])


@dataclass
class Chooser:
    """Says of each record, in the order of its partition, whether it is meant.

    Attributes:
        runs: those of the experiments that are meant, by (tenant, run): only their creation says whose they are.
    """

    selection: Selection
    runs: set[tuple[str, str]] = field(default_factory=set)

    def wants(self, record: Received) -> bool:
        """Whether the record is meant. What can't be read is, unless only some kinds or experiments are."""
        chosen = self.selection
        if not chosen.may_want(record):
            return False
        if not (chosen.kinds or chosen.experiments):
            return True
        try:
            event = codec.decode(record.value or b"")
        except InvalidEvent:
            return False
        of_experiment = not chosen.experiments or self._is_of_experiment(event)
        return of_experiment and (not chosen.kinds or event.kind in chosen.kinds)

    def learn(self, record: Received) -> None:
        """Takes a record that was replayed before, so that what follows of its run is known."""
        if self.selection.experiments:
            self.wants(record)

    def _is_of_experiment(self, event: TrackingEvent) -> bool:
        payload = event.payload
        run_id = getattr(payload, "run_id", None)
        if isinstance(payload, events.RunCreated):
            if self._named(event.tenant_id, payload.experiment_id, payload.experiment_name):
                self.runs.add((event.tenant_id, payload.run_id))
        elif run_id is None:
            return self._named(event.tenant_id, getattr(payload, "experiment_id", ""), getattr(payload, "name", None))
        return (event.tenant_id, run_id or "") in self.runs

    def _named(self, tenant: str, identifier: str, name: str | None) -> bool:
        """Whether the experiment is meant: by its name, its id, or the id that its name has."""
        wanted = self.selection.experiments
        return bool(wanted & {identifier, name}) or identifier in {experiment_id(tenant, one) for one in wanted}


def tenant_of(record: Received) -> str:
    """Whose the record is, by its key."""
    return (record.key or b"").decode("utf-8", "replace").partition("/")[0] or UNKNOWN
