"""Runs in columns, and what experiments have in runs. Pure."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from matih_tracking.reading.views import ExperimentSummary, RunTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matih_tracking.reading.views import RunView


def table(runs: Sequence[RunView], metrics: Sequence[str] | None, params: Sequence[str] | None) -> RunTable:
    """The runs in columns, in the order that they have; keys that no run has are left out."""
    metric_keys = _keys((run.metrics for run in runs), metrics)
    param_keys = _keys((run.params for run in runs), params)
    return RunTable(
        run_ids=[run.run_id for run in runs],
        names=[run.name for run in runs],
        statuses=[run.status for run in runs],
        metrics={key: [run.metrics[key].value if key in run.metrics else None for run in runs] for key in metric_keys},
        params={key: [run.params.get(key) for run in runs] for key in param_keys},
    )


def summary(runs: Sequence[RunView]) -> ExperimentSummary:
    """What an experiment with these runs has."""
    best: dict[str, tuple[float, float]] = {}
    for run in runs:
        if run.status != "FINISHED":
            continue
        for key, point in run.metrics.items():
            if not isnan(point.value):
                greatest, least = best.get(key, (point.value, point.value))
                best[key] = max(greatest, point.value), min(least, point.value)
    return ExperimentSummary(len(runs), best)


def _keys(found: Iterable[Iterable[str]], wanted: Sequence[str] | None) -> list[str]:
    there = {key for keys in found for key in keys}
    return sorted(there) if wanted is None else [key for key in dict.fromkeys(wanted) if key in there]
