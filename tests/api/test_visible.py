"""Waiting to see what was written: over a slow answer, but not through an outage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from matih_api.objects import visible
from matih_api.problems import Problem, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

AWAY = unavailable("tracking-backend-unavailable", "MLflow can't be read now", 5)


def seen(answers: Iterable[str | Problem | None], seconds: float = 60.0) -> tuple[str | None, int]:
    """What is seen at last, and how many answers were not asked for."""
    left = iter(answers)

    async def look() -> str | None:
        answer = next(left)
        if isinstance(answer, Problem):
            raise answer
        return answer

    return asyncio.run(visible(look, seconds)), len(list(left))


def test_it_looks_until_it_is_there() -> None:
    assert seen([None, None, "run", "more"]) == ("run", 1)


def test_one_slow_answer_is_waited_out() -> None:
    assert seen([None, AWAY, AWAY, "run"]) == ("run", 0)


def test_an_outage_is_not_waited_through() -> None:
    assert seen([AWAY, "run"]) == (None, 1)


def test_none_is_seen_in_no_time() -> None:
    assert seen(["run"], seconds=0.0) == (None, 1)
