"""What MLflow's answers mean: JSON, nothing there, or why not. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from matih_tracking.reading.errors import NotReadable, ReadsUnavailable

if TYPE_CHECKING:
    from matih_tracking.mlflow_http import Answer

_WORDS_MAX: Final = 300
_ABSENT: Final = "RESOURCE_DOES_NOT_EXIST"
_REASONS: Final = {
    401: "it does not let us in: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    403: "it does not let us in: check the permissions of MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN, "
    "and the server's --allowed-hosts",
    404: "there is no MLflow API: check MLFLOW_TRACKING_URI",
    429: "it is busy: try again later",
}


class TimedOut(ReadsUnavailable):
    """There was no answer in time."""


def meaning(answer: Answer, shown: str) -> Any:
    """The answer's JSON; None for what does not exist.

    Args:
        answer: of the server.
        shown: the server's address, without secrets.

    Raises:
        ReadsUnavailable: the server, or what stands before it, does not answer as MLflow.
        NotReadable: MLflow refuses this very question.
    """
    content = _json(answer.body)
    if answer.status == 200 and content is not None:
        return content
    code = str((content or {}).get("error_code", ""))
    if answer.status == 404 and code == _ABSENT:
        return None
    if answer.status == 400 and code:
        raise NotReadable(f"MLflow at {shown} refuses the question: {_words(content)}")
    reason = _REASONS.get(answer.status, "try again later" if answer.status >= 500 else "check MLFLOW_TRACKING_URI")
    what = f"answered {answer.status}" if answer.status != 200 else "answered what is no JSON object"
    raise ReadsUnavailable(f"MLflow at {shown} {what}: {reason}")


def no_answer(error: BaseException, shown: str, seconds: float) -> ReadsUnavailable:
    """What it means that there was no answer."""
    if isinstance(error, TimeoutError):
        return TimedOut(f"MLflow at {shown} did not answer within {seconds:g} s: try again later")
    reason = " ".join(str(error).split())[:_WORDS_MAX] or type(error).__name__
    return ReadsUnavailable(f"MLflow at {shown} can't be reached: {reason}")


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _words(content: Any) -> str:
    return " ".join(str(content.get("message", "")).split())[:_WORDS_MAX]
