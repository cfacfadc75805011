"""Which events are about some experiments, their runs' events among them. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from matih_schemas.events import RunCreated
from matih_schemas.identity import experiment_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_schemas.events import TrackingEvent


class OfExperiments:
    """Knows the events of some experiments. Only a run's creation names its experiment, so it has to see that first.

    Attributes:
        wanted: their names or ids.
        runs: by tenant and id, those that it has seen being made there.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        """Nothing is known yet of their runs."""
        self.wanted = frozenset(wanted)
        self.runs: set[tuple[str, str]] = set()
        self._ids: set[tuple[str, str]] = set()

    def takes(self, event: TrackingEvent) -> bool:
        """Whether the event is about one of them; takes note of what it says of runs and names."""
        payload = event.payload
        run_id = getattr(payload, "run_id", None)
        if isinstance(payload, RunCreated):
            if self._named(event.tenant_id, payload.experiment_id, payload.experiment_name):
                self.runs.add((event.tenant_id, payload.run_id))
        elif run_id is None:
            return self._named(event.tenant_id, getattr(payload, "experiment_id", ""), getattr(payload, "name", None))
        return (event.tenant_id, run_id or "") in self.runs

    def _named(self, tenant: str, identifier: str, name: str | None) -> bool:
        """Whether the experiment is wanted: by its name, now or before, its id, or the id that its name has."""
        if not identifier:
            return False
        found = bool(self.wanted & {identifier, name}) or identifier in _ids(tenant, self.wanted)
        if found:
            self._ids.add((tenant, identifier))
        return (tenant, identifier) in self._ids


@cache
def _ids(tenant: str, names: frozenset[str]) -> frozenset[str]:
    return frozenset(experiment_id(tenant, name) for name in names)
