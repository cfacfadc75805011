"""Runs as pandas' DataFrame, with the columns of MLflow's `search_runs`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from matih_tracking.reading.errors import NotReadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_tracking.reading.views import RunView


def require_pandas() -> None:
    """Says what to install.

    Raises:
        NotReadable: pandas is not there.
    """
    if importlib.util.find_spec("pandas") is None:
        raise NotReadable("to_dataframe needs pandas, which is not installed: pip install pandas")


def frame(runs: Sequence[RunView]) -> Any:
    """One row per run: run_id (ours), experiment_id, status, artifact_uri, start_time, end_time, metrics.*, params.*,
    tags.*. Times are UTC. A metric that a run has not is NaN, a param or tag None.
    """
    import pandas as pd

    columns: dict[str, Any] = {
        "run_id": [run.run_id for run in runs],
        "experiment_id": [run.experiment_id for run in runs],
        "status": [run.status for run in runs],
        "artifact_uri": [run.artifact_uri for run in runs],
        "start_time": pd.to_datetime(pd.Series([run.start_time for run in runs], dtype="Int64"), unit="ms", utc=True),
        "end_time": pd.to_datetime(pd.Series([run.end_time for run in runs], dtype="Int64"), unit="ms", utc=True),
    }
    for key in _keys(run.metrics for run in runs):
        values = [run.metrics[key].value if key in run.metrics else None for run in runs]
        columns[f"metrics.{key}"] = pd.Series(values, dtype="float64")
    for key in _keys(run.params for run in runs):
        columns[f"params.{key}"] = pd.Series([run.params.get(key) for run in runs], dtype=object)
    for key in _keys(run.tags for run in runs):
        columns[f"tags.{key}"] = pd.Series([run.tags.get(key) for run in runs], dtype=object)
    return pd.DataFrame(columns)


def _keys(found: Any) -> list[str]:
    return sorted({key for keys in found for key in keys})
