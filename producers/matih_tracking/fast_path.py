"""The log call's usual case: floats under keys seen before. Whatever else comes is left to mend.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matih_schemas.limits import STEP_MAX
from matih_tracking.journal.entries import METRICS_KIND, encode

if TYPE_CHECKING:
    from collections.abc import Container

METRICS_MAX: Final = 200
"""Metrics that fit into one entry, however long their keys are."""


def pack(metrics: Any, step: Any, time_ms: Any, known: Container[str]) -> bytes | None:
    """The payload, if all of it can be stored as it is; None if it needs a closer look.

    Args:
        metrics: what a user gave as metrics.
        step: what a user gave as the step.
        time_ms: what a user gave as the timestamp, or the time of the call in ms since the epoch.
        known: keys that are legal.
    """
    if type(metrics) is not dict or not 0 < len(metrics) <= METRICS_MAX:
        return None
    if type(step) is not int or step > STEP_MAX or type(time_ms) is not int or not 0 <= time_ms <= STEP_MAX:
        return None
    for key, value in metrics.items():
        if type(value) is not float or key not in known:
            return None
    try:
        return encode((METRICS_KIND, time_ms, step, metrics))
    except (OverflowError, TypeError, RuntimeError):  # step < -2**63, a subclass of str, a thread that changes the dict
        return None
