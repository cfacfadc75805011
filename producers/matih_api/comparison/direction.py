"""Whether a metric is better when it is greater or smaller, and which metric stands for an experiment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from matih_api.comparison.metric_words import (
    MAXIMISED,
    MINIMISED,
    MINIMISED_ENDINGS,
    ORDER,
    SPLITS,
)
from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from matih_tracking.reading.views import ExperimentSummary

Direction = Literal["minimize", "maximize"]

PRIMARY_METRIC: Final = "matih.primary_metric"
PRIMARY_METRIC_GOAL: Final = "matih.primary_metric_goal"

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD: Final = re.compile(r"[a-z0-9]+")
_RATE: Final = re.compile(r"_per_(s|sec|second|minute|hour)(_|$)")
_TIME_TO: Final = re.compile(r"(^|_)(time|seconds|steps|epochs)_to_")
_NEGATED: Final = re.compile(
    r"(^|_)(neg_|negative_log_likelihood)"
)  # scikit-learn: neg_log_loss is better when greater
_GOALS: Final[tuple[tuple[re.Pattern[str], Direction], ...]] = (
    (re.compile(r"min|minimum|minimi[sz](e|ed|es|ing|ation)|(lower|smaller|less)( is better)?"), "minimize"),
    (re.compile(r"max|maximum|maximi[sz](e|ed|es|ing|ation)|(higher|greater|larger|more)( is better)?"), "maximize"),
)


class UnknownGoal(MatihError):
    """A goal is neither to minimise nor to maximise: ask for one that is. The message names it."""


def words(metric: str) -> list[str]:
    """The words of a metric's name, in lower case: `eval/valLoss` is `eval`, `val`, `loss`."""
    return _WORD.findall(_CAMEL.sub("_", metric).lower())


def goal_direction(goal: str) -> Direction:
    """What a goal in words asks for: min, minimize, Minimise, lower is better, max, maximize ...

    Raises:
        UnknownGoal: neither.
    """
    text = " ".join(words(goal))
    for pattern, direction in _GOALS:
        if pattern.fullmatch(text):
            return direction
    raise UnknownGoal(f"goal is {goal!r}: say minimize or maximize")


def direction(metric: str, goal: str | None = None) -> Direction:
    """Whether greater or smaller values of a metric are better: by the goal, else by its name.

    The last word of the name that is known decides (`accuracy_loss` is minimised); rates such as `tokens_per_second`
    are maximised, and so is what has no known word.

    Raises:
        UnknownGoal: the goal is neither to minimise nor to maximise.
    """
    if goal:
        return goal_direction(goal)
    parts = words(metric)
    name = "_".join(parts)
    if _RATE.search(name):
        return "maximize"
    if _TIME_TO.search(name):
        return "minimize"
    known = _direction_of_last(parts)
    return _opposite(known) if _NEGATED.search(name) else known


def _direction_of_last(parts: Sequence[str]) -> Direction:
    return next(filter(None, map(_direction_of, reversed(parts))), "maximize")


def _direction_of(word: str) -> Direction | None:
    if word in MAXIMISED:
        return "maximize"
    return "minimize" if word in MINIMISED or word.endswith(MINIMISED_ENDINGS) else None


def _opposite(known: Direction) -> Direction:
    return "maximize" if known == "minimize" else "minimize"


def preferred(metrics: Collection[str]) -> str | None:
    """The metric that says most about a run, by `metric_words.ORDER`; none if no name is of a kind in it."""
    ranked = ((place, metric) for metric in metrics if (place := _place(metric)) is not None)
    return min(ranked, default=(None, None))[1]


def _place(metric: str) -> tuple[int, int, int] | None:
    """Where a metric stands in the order: its kind, its part of the data, then the shorter name."""
    parts = set(words(metric))
    if "loss" in parts and "log" in parts:
        parts.add("logloss")
    kind = next((place for place, kinds in enumerate(ORDER) if parts.intersection(kinds)), None)
    if kind is None or metric.startswith("system/"):
        return None
    unnamed = SPLITS.index(())
    split = next((place for place, names in enumerate(SPLITS) if parts.intersection(names)), unnamed)
    return kind, split, len(metric)


def tagged_goal(tags: Mapping[str, str]) -> str | None:
    """The goal that an experiment's tags give for its primary metric; what is no goal counts as none."""
    try:
        return goal_direction(tags.get(PRIMARY_METRIC_GOAL, ""))
    except UnknownGoal:
        return None


def best_metric(summary: ExperimentSummary, tags: Mapping[str, str]) -> dict[str, float]:
    """The best value of the metric that stands for an experiment, over its completed runs; `{}` if there is none.

    The metric is the one that the tag `matih.primary_metric` names (and no other, if no run has it), else the first of
    `metric_words.ORDER`. NaN is never the best.
    """
    named = tags.get(PRIMARY_METRIC)
    metric = named or preferred(summary.best)
    if metric is None or metric not in summary.best:
        return {}
    greatest, least = summary.best[metric]
    wanted = direction(metric, tagged_goal(tags) if named else None)
    return {metric: greatest if wanted == "maximize" else least}
