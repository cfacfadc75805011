"""What a gateway's answer means for the batch it was sent. Pure."""

from __future__ import annotations

import email.utils
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_WAIT: Final = 1.0
WAIT_MAX: Final = 3600.0
_DETAIL_MAX: Final = 500
_LATER: Final = frozenset({408, 425, 429, 502, 503, 504})
_CULPRIT: Final = frozenset({413, 422})


@dataclass(frozen=True)
class Answer:
    """An answer of HTTP; `headers` by lower-case names."""

    status: int
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Taken:
    """All events are on Kafka."""


@dataclass(frozen=True)
class Later:
    """Not now: the same batch again, after so many seconds."""

    seconds: float
    why: str


@dataclass(frozen=True)
class TooMuch:
    """Too large as a whole: in smaller batches it may go."""

    why: str


@dataclass(frozen=True)
class Refused:
    """One event can't be taken, however often it is sent."""

    index: int
    why: str


@dataclass(frozen=True)
class Trouble:
    """Nothing goes until somebody mends something; all is kept."""

    why: str


Verdict = Taken | Later | TooMuch | Refused | Trouble


def judge(answer: Answer, events: int, *, with_token: bool, now: float | None = None) -> Verdict:
    """What an answer to a batch of so many events means.

    What is not known to be an answer of a gateway is trouble: it may come from anything that stands in between.

    Args:
        answer: as it came.
        events: in the batch.
        with_token: a token was sent.
        now: seconds since the epoch, for a Retry-After that is a date; None for the clock's.
    """
    problem = _json(answer)
    why = f"{answer.status} {answer.reason}".strip() + _detail(problem)
    if answer.status == 200:
        return Taken() if problem.get("accepted") == events else Trouble(f"{why}: that is no event gateway's answer")
    if answer.status in _LATER:
        return Later(retry_after(answer.headers.get("retry-after", ""), time.time() if now is None else now), why)
    if answer.status in _CULPRIT:
        index = _culprit(problem, events)
        if index is not None:
            return Refused(index, why)
        return TooMuch(why) if answer.status == 413 and events > 1 else Trouble(why)
    return Trouble(why + _remedy(answer, with_token=with_token))


def retry_after(text: str, now: float) -> float:
    """Seconds of a Retry-After header: a number, or a date (RFC 9110, 10.2.3); bounded, one second if it is neither."""
    try:
        seconds = float(int(text))
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, IndexError):
            seconds = DEFAULT_WAIT
    return min(WAIT_MAX, max(0.0, seconds))


def _json(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _detail(problem: Mapping[str, Any]) -> str:
    detail = problem.get("detail")
    return f": {' '.join(detail.split())[:_DETAIL_MAX]}" if isinstance(detail, str) and detail else ""


def _culprit(problem: Mapping[str, Any], events: int) -> int | None:
    """The first event that the answer names; of a batch of one it is that one."""
    errors = problem.get("errors")
    for error in errors if isinstance(errors, list) else []:
        loc = error.get("loc") if isinstance(error, dict) else None
        if isinstance(loc, list) and loc[:2] == ["body", "events"] and len(loc) > 2:
            index = loc[2]
            if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < events:
                return index
    return 0 if events == 1 else None


def _remedy(answer: Answer, *, with_token: bool) -> str:
    if answer.status == 401:
        have = "is the token in MATIH_API_TOKEN or MATIH_API_TOKEN_FILE right, and still valid?"
        return f": {have}" if with_token else ": set MATIH_API_TOKEN or MATIH_API_TOKEN_FILE"
    if answer.status == 403:
        return ""
    if 300 <= answer.status < 400:
        return (
            f": it points to {answer.headers.get('location', 'nowhere')[:200]}: set MATIH_API_URL to where the API is"
        )
    return ": is MATIH_API_URL the API's base URL, and is its gateway on?"
