"""What can go wrong when runs are read."""

from __future__ import annotations

from matih_tracking.errors import TrackingError


class ReadsUnavailable(TrackingError):
    """MLflow or its database can't be asked now: try again later. The message names it, without secrets."""


class NotReadable(TrackingError):
    """Nothing is wrong with MLflow, but this can't be read from it in this way; the message says what does."""
