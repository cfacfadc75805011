"""What both families of endpoints share: numbers, texts, tags and the words for a status."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from matih_api.events import text
from matih_schemas.checks import key_problem, value_problem
from matih_schemas.limits import EXPERIMENT_TAG_VALUE_MAX, PARAM_VALUE_MAX, STEP_MAX, STEP_MIN, TAG_VALUE_MAX

PRIMARY_METRIC: Final = "matih.primary_metric"
USERS_OWN: Final = frozenset({PRIMARY_METRIC, "matih.primary_metric_goal"})
"""The tags of ours that users write."""
_NON_FINITE: Final = {"nan": float("nan"), "infinity": float("inf"), "-infinity": float("-inf")}

MlflowStatus = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
STATUS_WORDS: Final[dict[str, MlflowStatus]] = {
    "running": "RUNNING",
    "active": "RUNNING",
    "scheduled": "SCHEDULED",
    "finished": "FINISHED",
    "completed": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
}
"""The words for a status that come in, in lower case: MLflow's and both families'."""


class Strict(BaseModel):
    """A request's body: a field that nobody knows is an error."""

    model_config = ConfigDict(extra="forbid")


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is no number")
    if isinstance(value, str):
        if value.lower() not in _NON_FINITE:
            raise ValueError('is no number (as texts "NaN", "Infinity" and "-Infinity" are taken)')
        return _NON_FINITE[value.lower()]
    return value


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is no whole number")
    return value


def _plain_text(value: Any) -> Any:
    return text(value) if isinstance(value, bool | int | float) else value


def _key(key: str) -> str:
    problem = key_problem(key)
    if problem is not None:
        raise ValueError(f"{problem}: use letters, digits, '_', '-', '.', ' ', ':' and '/', at most 250")
    return key


def _tag_key(key: str) -> str:
    if key.startswith("matih.") and key not in USERS_OWN:
        raise ValueError(f"tag {key[:80]!r} is the system's own: choose a name that does not begin with 'matih.'")
    return _key(key)


def _within(limit: int) -> AfterValidator:
    def check(value: str) -> str:
        problem = value_problem("it", value, limit)
        if problem is not None:
            raise ValueError(problem)
        return value

    return AfterValidator(check)


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank: give it at least one visible character")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("holds control characters: remove them")
    return value


def _int64(value: int) -> int:
    if not STEP_MIN <= value <= STEP_MAX:
        raise ValueError("is no int64: from -2**63 to 2**63 - 1")
    return value


Number = Annotated[float, BeforeValidator(_number)]
MetricKey = Annotated[str, AfterValidator(_key)]
ParamKey = Annotated[str, AfterValidator(_key)]
TagKey = Annotated[str, AfterValidator(_tag_key)]
ParamValue = Annotated[str, BeforeValidator(_plain_text), _within(PARAM_VALUE_MAX)]
TagValue = Annotated[str, BeforeValidator(_plain_text), _within(TAG_VALUE_MAX)]
Name = Annotated[str, AfterValidator(_not_blank)]
Step = Annotated[int, BeforeValidator(_no_bool), AfterValidator(_int64)]
Timestamp = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, lt=2**63)]
Tags = dict[TagKey, TagValue]
ExperimentTags = dict[TagKey, Annotated[str, BeforeValidator(_plain_text), _within(EXPERIMENT_TAG_VALUE_MAX)]]
JsonNumber = float | str
"""A number in an answer: NaN and the infinities are texts."""


def status_word(word: str) -> MlflowStatus | None:
    """MLflow's word for a status; None if it is none."""
    return STATUS_WORDS.get(word.strip().lower())
