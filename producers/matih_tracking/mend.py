"""Bad input, and the answer to each: mended where that is possible, dropped only where it is not. Pure functions.

| input | answer | counted as |
|---|---|---|
| NaN, infinity | kept | - |
| int, bool, Decimal, Fraction, numpy and torch scalars, anything else with `__float__` | becomes a float | - |
| a metric that is text, bytes, None, complex, an array, or too large for a float | dropped | `metric_not_a_number` |
| metrics, params or tags that are no mapping | dropped | `not_a_mapping` |
| a key with characters that MLflow refuses (`@`, NUL, a newline), with `//`, `.` or `..` between slashes, a slash \
at an end, longer than 250 characters, empty, or no string | characters become `_`, and `_<8 hex of its hash>` is \
appended: two keys never become one | `key_changed` |
| step None | 0, as in MLflow | - |
| a step outside int64, or no whole number | the call's metrics are dropped: never clamped, rounded or parsed | \
`step_impossible` |
| a timestamp that is negative, outside int64, or no number | the time of the call | `timestamp_replaced` |
| NUL or a lone surrogate in a value | becomes U+FFFD | `text_replaced` |
| a param's value over 6000 characters, a tag's over 8000 (an experiment's: 5000) | its beginning | `text_cut` |
| a value whose str() raises | dropped | `unprintable` |
| a string param whose key ends in the word password, secret, api_key, access_token or auth_token | `[redacted]` \
(MATIH_REDACT=off keeps it) | `secret_redacted` |
| a tag `matih.*` (but matih.primary_metric and matih.primary_metric_goal) | dropped | `reserved_tag` |
| two params that flatten to one key | the later one's key gets `_<hash>` | `key_changed` |
| a param logged again with another value | goes through: the first applied value wins, the tag \
`matih.param_conflicts` names the key | - |
| an end with a status that is none | FINISHED | `unknown_status` |
| more than 1000 metrics, or 256 KiB, in one call | several entries | - |
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from matih_schemas.limits import KEY_MAX, PARAM_VALUE_MAX, STEP_MAX, STEP_MIN, TAG_VALUE_MAX

Kind = Literal[
    "metric_not_a_number",
    "not_a_mapping",
    "key_changed",
    "step_impossible",
    "timestamp_replaced",
    "text_replaced",
    "text_cut",
    "unprintable",
    "secret_redacted",
    "reserved_tag",
    "unknown_status",
]
DROPS: Final[frozenset[Kind]] = frozenset(
    {"metric_not_a_number", "not_a_mapping", "step_impossible", "unprintable", "reserved_tag"}
)
"""The kinds that lose something; the others change it."""

REDACTED: Final = "[redacted]"
REPLACEMENT: Final = "\ufffd"
FREE_MATIH_TAGS: Final = frozenset({"matih.primary_metric", "matih.primary_metric_goal"})

_LEGAL = re.compile(r"[/\w.\- :]+")
_ILLEGAL = re.compile(r"[^/\w.\- :]")
_BAD_TEXT = re.compile("[\x00\ud800-\udfff]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET = re.compile(r"(?:.*[^a-z0-9])?(?:password|secret|api[_-]?key|access[_-]?token|auth[_-]?token)", re.DOTALL)
_T = TypeVar("_T")


class Problem(NamedTuple):
    """One thing that was wrong.

    Attributes:
        kind: how it is counted.
        subject: what it was, for people.
        answer: what was done about it.
        times: how many values it concerns.
    """

    kind: Kind
    subject: str
    answer: str
    times: int = 1


@dataclass
class Mended(Generic[_T]):
    """What can be logged, by legal key, and what was wrong."""

    kept: dict[str, _T] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def note(self, kind: Kind, subject: str, answer: str) -> None:
        """Adds a problem."""
        self.problems.append(Problem(kind, subject, answer))


def is_legal_key(key: str) -> bool:
    """Whether MLflow takes the key as it is."""
    if len(key) > KEY_MAX or not _LEGAL.fullmatch(key):
        return False
    return not any(part in {"", ".", ".."} for part in key.split("/")) and not key.startswith("..")


def mend_key(key: object) -> str:
    """The key itself if it is legal, else one that is, and that no other key becomes."""
    if isinstance(key, str) and is_legal_key(key):
        return str(key)
    text = str(key) if isinstance(key, str) else str(_printed(key))
    parts = [_ILLEGAL.sub("_", part) for part in text[:KEY_MAX].split("/")]
    legal = "/".join("_" if part in {"", ".", ".."} else part for part in parts)
    if legal.startswith(".."):
        legal = "_" + legal
    return f"{legal[: KEY_MAX - 9]}_{_hash8(key, text)}"


def mend_metrics(metrics: object) -> Mended[float]:
    """Metrics by legal key, as floats."""
    mended: Mended[float] = Mended()
    for key, value in _items(metrics, "metrics", mended):
        number = as_float(value)
        if number is None:
            mended.note("metric_not_a_number", f"metric {_short(key)} is {_described(value)}", "it is dropped")
        else:
            mended.kept[_key(key, mended)] = number
    return mended


def mend_params(params: object, *, redact: bool = True) -> Mended[str]:
    """Params by legal key, as MLflow's str() gives them; `params` is flat (see flatten.py)."""
    mended: Mended[str] = Mended()
    for key, value in _items(params, "params", mended):
        if redact and isinstance(value, str) and value and is_secret(_printed(key) or ""):
            mended.note("secret_redacted", f"param {_short(key)} looks like a secret", f"it is stored as {REDACTED}")
            value = REDACTED
        _text(key, value, PARAM_VALUE_MAX, "param", mended)
    return mended


def mend_tags(tags: object, limit: int = TAG_VALUE_MAX) -> Mended[str]:
    """A user's tags by legal key, as strings of at most `limit` characters."""
    mended: Mended[str] = Mended()
    for key, value in _items(tags, "tags", mended):
        if isinstance(key, str) and key.startswith("matih.") and key not in FREE_MATIH_TAGS:
            mended.note("reserved_tag", f"tag {_short(key)} is matih's own", "it is dropped")
        else:
            _text(key, value, limit, "tag", mended)
    return mended


def mend_text(text: str, limit: int, what: str) -> tuple[str, list[Problem]]:
    """The text as PostgreSQL and MLflow take it, at most `limit` characters long."""
    problems: list[Problem] = []
    if _BAD_TEXT.search(text):
        text = _BAD_TEXT.sub(REPLACEMENT, text)
        problems.append(Problem("text_replaced", f"{what} holds NUL or a lone surrogate", "it became U+FFFD"))
    if len(text) > limit:
        answer = f"its first {limit} are kept"
        problems.append(Problem("text_cut", f"{what} has {len(text)} characters", answer))
        text = text[:limit]
    return text, problems


def clean(value: object) -> str | None:
    """A value of the system's or a configuration's as text that can be stored; None stays None."""
    return None if value is None else mend_text(str(value), TAG_VALUE_MAX, "")[0]


def mend_step(step: object) -> int | None:
    """The step as an int64, 0 for None; None if it is none, for then it is impossible to keep."""
    if step is None:
        return 0
    whole = _whole(step)
    return whole if whole is not None and STEP_MIN <= whole <= STEP_MAX else None


def mend_timestamp(timestamp: object, now_ms: int) -> tuple[int, Problem | None]:
    """The timestamp in whole ms since the epoch, `now_ms` for None and for what can't be one."""
    if timestamp is None:
        return now_ms, None
    number = as_float(timestamp)
    if number is not None and 0 <= number <= STEP_MAX:
        whole = _whole(timestamp)
        return min(int(number) if whole is None else whole, STEP_MAX), None
    subject = f"timestamp {_described(timestamp)} is not in ms since the epoch"
    return now_ms, Problem("timestamp_replaced", subject, "the time of the call is used")


def as_float(value: object) -> float | None:
    """The value as MLflow would store it, None if it is no number."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return None
    try:
        item = getattr(value, "item", None)
        number: Any = item() if callable(item) else value
        return float(number) if hasattr(number, "__float__") else None
    except Exception:  # noqa: BLE001  # a user's class may raise anything: then it is no number
        return None


def is_secret(key: str) -> bool:
    """Whether the key's last word names a secret: `db.password`, `apiKey`, `HF_ACCESS_TOKEN`, not `max_tokens`."""
    return _SECRET.fullmatch(_CAMEL.sub("_", key).lower()) is not None


def _items(given: object, what: str, mended: Mended[_T]) -> list[tuple[Any, Any]]:
    if isinstance(given, Mapping):
        return list(given.items())
    mended.note("not_a_mapping", f"{what} {_described(given)}: not a mapping of keys to values", "it is dropped")
    return []


def _key(key: object, mended: Mended[_T]) -> str:
    legal = mend_key(key)
    if legal != key:
        mended.note("key_changed", f"key {_short(key)} is not one that MLflow takes", f"it became {legal!r}")
    return legal


def _text(key: object, value: object, limit: int, what: str, mended: Mended[str]) -> None:
    text = _printed(value)
    if text is None:
        mended.note("unprintable", f"{what} {_short(key)} is a {type(value).__name__} whose str() fails", "dropped")
        return
    text, problems = mend_text(text, limit, f"{what} {_short(key)}")
    mended.kept[_key(key, mended)] = text
    mended.problems.extend(problems)


def _whole(value: object) -> int | None:
    try:
        number: Any = value if hasattr(value, "__index__") else as_float(value)
        return int(number) if number == int(number) else None
    except Exception:  # noqa: BLE001  # None, NaN, infinity, a string, a user's class: no whole number
        return None


def _printed(value: object) -> str | None:
    if type(value) is str:
        return value
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # a user's __str__ may raise anything
        return None


def _hash8(key: object, text: str) -> str:
    kind = "" if isinstance(key, str) else f"{type(key).__qualname__}:"
    return hashlib.sha256((kind + text).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _short(value: object) -> str:
    text = ascii(_printed(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _described(value: object) -> str:
    return f"{_short(value)} ({type(value).__name__})"
