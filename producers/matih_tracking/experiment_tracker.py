"""The public names once more, where the platform's documentation has them."""

from __future__ import annotations

from matih_schemas.errors import InvalidName
from matih_tracking.configs import ExperimentConfig, RunConfig, RunMetrics
from matih_tracking.errors import BadInput, NotSupported, TrackingError, TrackingUnavailable
from matih_tracking.run import Run
from matih_tracking.run_status import RunStatus
from matih_tracking.tracker import ExperimentTracker

__all__ = [
    "BadInput",
    "ExperimentConfig",
    "ExperimentTracker",
    "InvalidName",
    "NotSupported",
    "Run",
    "RunConfig",
    "RunMetrics",
    "RunStatus",
    "TrackingError",
    "TrackingUnavailable",
]
