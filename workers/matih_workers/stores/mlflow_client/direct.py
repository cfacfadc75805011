"""log_batch as MLflow's REST API documents it, its JSON made at once of what the store has.

MLflow's client makes four objects of each point on the way (two entities, a message, a dictionary), which takes it a
seventh of the whole call. How a request finds its way (credentials, TLS, headers of plugins) stays MLflow's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matih_workers.stores.calls import LogBatch

ENDPOINT: Final = "/api/2.0/mlflow/runs/log-batch"
SCHEMES: Final = ("http", "https")


class DirectLog:
    """log_batch on one MLflow server. Thread-safe, as MLflow's sessions are."""

    def __init__(self, uri: str) -> None:
        """Imports MLflow; connects at the first call.

        Args:
            uri: a tracking URI of one of the `SCHEMES`.
        """
        from mlflow.utils import credentials, rest_utils

        self._uri = uri
        # These functions of MLflow have no types.
        self._credentials: Any = credentials
        self._rest: Any = rest_utils

    def log(self, mlflow_run_id: str, batch: LogBatch) -> None:
        """One log_batch, exactly as MLflow's client sends it.

        Raises:
            mlflow.exceptions.MlflowException: as MLflow's client does.
        """
        # Asked each time, as MLflow does: a token in the environment may be renewed.
        answer = self._rest.http_request(
            self._credentials.get_default_host_creds(self._uri), ENDPOINT, "POST", json=body(mlflow_run_id, batch)
        )
        self._rest.verify_rest_response(answer, ENDPOINT)


def body(mlflow_run_id: str, batch: LogBatch) -> dict[str, Any]:
    """The request's JSON."""
    return {
        "run_id": mlflow_run_id,
        "metrics": [
            {"key": key, "value": _number(value), "timestamp": timestamp, "step": step}
            for key, value, timestamp, step in batch.metrics
        ],
        "params": [{"key": key, "value": value} for key, value in batch.params],
        "tags": [{"key": key, "value": value} for key, value in batch.tags],
    }


def _number(value: float) -> float | str:
    """The number; where JSON has none, protobuf's word for it (protobuf.dev, ProtoJSON, "float, double")."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
