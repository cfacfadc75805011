"""The reader over MLflow's public REST API: for any MLflow server, with the limits that its API sets."""

from matih_tracking.reading.rest.reader import RestReader

__all__ = ["RestReader"]
