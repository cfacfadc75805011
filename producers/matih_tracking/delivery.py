"""Waiting for delivery, always with an end: to Kafka by the journal's cursor, to MLflow by its marks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from matih_schemas import tags

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_tracking.mlflow_rest import RunInMlflow, SeenRun
    from matih_tracking.recorder import Recorder

_POLL_FIRST: Final = 0.002
_POLL_MAX: Final = 0.05
_LOOK_AFTER_SECONDS: Final = 1.0
_URL_SECONDS: Final = 0.5


def until(done: Callable[[], bool], timeout: float, look_after: Callable[[], None]) -> bool:
    """Polls `done` for `timeout` seconds, and keeps a shipper there meanwhile."""
    start = time.monotonic()
    looked, pause = start, _POLL_FIRST
    look_after()
    while not done():
        now = time.monotonic()
        if now >= start + timeout:
            return False
        if now >= looked + _LOOK_AFTER_SECONDS:
            looked = now
            look_after()
        time.sleep(min(pause, start + timeout - now))
        pause = min(pause * 1.5, _POLL_MAX)
    return True


def flush(recorder: Recorder, look_after: Callable[[], None], timeout: float) -> bool:
    """Waits until the entries written so far are on Kafka, for `timeout` seconds."""
    count = recorder.count
    return until(lambda: recorder.acked() >= count, timeout, look_after)


def wait_applied(recorder: Recorder, in_mlflow: RunInMlflow, look_after: Callable[[], None], timeout: float) -> bool:
    """Waits until MLflow holds the entries written so far, for `timeout` seconds."""
    deadline = time.monotonic() + timeout
    last, producer_id = recorder.last_sequence, recorder.producer_id
    if producer_id is None:
        return False
    if not flush(recorder, look_after, timeout):
        return False

    def applied(seen: SeenRun) -> bool:
        return tags.marks(seen.tags).get(producer_id, -1) >= last

    return in_mlflow.wait(applied, max(0.0, deadline - time.monotonic()))


def url(in_mlflow: RunInMlflow) -> str | None:
    """The run's page, if MLflow shows the run by now."""
    if in_mlflow.last_seen is None and in_mlflow.may_look_again():
        in_mlflow.wait(lambda _: True, _URL_SECONDS)
    return in_mlflow.last_seen.url if in_mlflow.last_seen else None
