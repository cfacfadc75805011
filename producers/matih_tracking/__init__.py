"""The SDK: an experiment tracker that never slows, breaks or loses a training run."""

from matih_tracking.experiment_tracker import (
    BadInput,
    ExperimentConfig,
    ExperimentTracker,
    InvalidName,
    NotSupported,
    Run,
    RunConfig,
    RunMetrics,
    RunStatus,
    TrackingError,
    TrackingUnavailable,
)

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
