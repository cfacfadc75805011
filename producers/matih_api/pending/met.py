"""Experiments as they were met last, by a read or on the topic, for while MLflow can't be asked: pure, bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from matih_api.pending.fold import UNSEEN, fold_experiment
from matih_api.pending.overlay import OF_EXPERIMENTS
from matih_schemas.events import ExperimentCreated, RunCreated
from matih_tracking.reading.views import ExperimentView

if TYPE_CHECKING:
    from collections.abc import Collection

    from matih_schemas.events import TrackingEvent

EXPERIMENTS_MAX: Final = 10_000
EXPERIMENTS_BYTES: Final = 32 << 20
"""Of memory for all of them, roughly."""
_OVERHEAD_BYTES: Final = 600


class MetExperiments:
    """What is known of experiments; the one that was met longest ago goes first.

    Events may say a part only: a view that they alone have made (`mlflow_id` is empty) has the description and tags
    that they gave. One whose name none of them gave is kept, for its stage, and not shown.
    """

    def __init__(self, most: int = EXPERIMENTS_MAX, most_bytes: int = EXPERIMENTS_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._views: OrderedDict[str, dict[str, ExperimentView]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many ids are kept."""
        return len(self._views)

    def meet(self, experiment: ExperimentView) -> None:
        """It was read so."""
        of_id = self._views.setdefault(experiment.experiment_id, {})
        before = of_id.get(experiment.tenant_id)
        of_id[experiment.tenant_id] = experiment
        self._bytes += _size(experiment) - (_size(before) if before is not None else 0)
        self._views.move_to_end(experiment.experiment_id)
        while len(self._views) > self._most or (self._bytes > self._most_bytes and len(self._views) > 1):
            _, gone = self._views.popitem(last=False)
            self._bytes -= sum(map(_size, gone.values()))

    def told(self, event: TrackingEvent) -> None:
        """This stands on the topic, applied or not; a topic's events come once, those of an id in their order."""
        payload = event.payload
        if isinstance(payload, OF_EXPERIMENTS):
            known = self._views.get(payload.experiment_id, {}).get(event.tenant_id)
            now = _after(known, event)
            if now is not known:
                self.meet(now)

    def get(self, tenants: Collection[str] | None, experiment_id: str) -> ExperimentView | None:
        """The experiment, if it is one of these tenants' (None: anybody's) and its name is known."""
        of_id = self._views.get(experiment_id, {})
        return next((one for whose, one in of_id.items() if one.name and (tenants is None or whose in tenants)), None)


def _after(known: ExperimentView | None, event: TrackingEvent) -> ExperimentView:
    """The order of events about an experiment and of its runs' is not known: they are in several partitions."""
    if isinstance(event.payload, ExperimentCreated | RunCreated) and (known is None or not known.name):
        made = fold_experiment(None, [event])
        assert made is not None
        return made if known is None else replace(made, stage=known.stage)
    before = known or _nameless(event)
    return fold_experiment(before, [event]) or before


def _nameless(event: TrackingEvent) -> ExperimentView:
    payload: Any = event.payload
    return ExperimentView(
        experiment_id=payload.experiment_id,
        mlflow_id=UNSEEN,
        tenant_id=event.tenant_id,
        name="",
        artifact_location="",
        stage="active",
        created_at=event.occurred_at,
        last_updated=event.occurred_at,
    )


def _size(one: ExperimentView) -> int:
    texts = len(one.name) + len(one.description) + len(one.artifact_location)
    return _OVERHEAD_BYTES + texts + sum(len(key) + len(value) + 100 for key, value in one.tags.items())
