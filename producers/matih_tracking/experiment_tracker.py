"""The public names once more, where the platform's documentation has them."""

from __future__ import annotations

from matih_schemas.errors import InvalidName
from matih_tracking.comparison import Comparison
from matih_tracking.configs import ExperimentConfig, RunConfig, RunMetrics
from matih_tracking.errors import (
    BadInput,
    ExperimentNotFound,
    NotSupported,
    RunExists,
    RunNotFound,
    TrackingError,
    TrackingUnavailable,
)
from matih_tracking.reading.errors import NotReadable, ReadsUnavailable
from matih_tracking.run import Run
from matih_tracking.run_status import RunStatus
from matih_tracking.tracker import ExperimentTracker

__all__ = [
    "BadInput",
    "Comparison",
    "ExperimentConfig",
    "ExperimentNotFound",
    "ExperimentTracker",
    "InvalidName",
    "NotReadable",
    "NotSupported",
    "ReadsUnavailable",
    "Run",
    "RunConfig",
    "RunExists",
    "RunMetrics",
    "RunNotFound",
    "RunStatus",
    "TrackingError",
    "TrackingUnavailable",
]
