"""Counts what had to be changed or was lost, and says each kind once."""

from __future__ import annotations

import json
from threading import RLock
from typing import TYPE_CHECKING, Final

from matih_schemas.limits import TAG_VALUE_MAX
from matih_tracking.errors import BadInput
from matih_tracking.mend import DROPS, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DROPPED_TAG: Final = "matih.dropped"
CHANGED_TAG: Final = "matih.changed"
GUIDE: Final = "docs/guides/bad-input.md"

_POLICY: Final = "secret_redacted"  # no fault of the input's: strict mode does not refuse it


class Tally:
    """One run's counts in this process.

    Attributes:
        changed: values that were mended, by kind.
        dropped: what was lost, by kind: of bad input as the table in mend.py has it, of trouble on this machine
            `spool_full`, `no_spool`, `journal_refused`, `journal_removed`, `after_end`, `internal_error`.
        strict: bad input raises.
    """

    def __init__(self, warn: Callable[[str], None], *, strict: bool = False) -> None:
        self._warn = warn
        self.strict = strict
        self.start_over()

    def count(self, problems: Iterable[Problem]) -> None:
        """Counts bad input, and warns of each kind once.

        Raises:
            BadInput: in strict mode, before anything is counted.
        """
        problems = list(problems)
        refused = [problem for problem in problems if problem.kind != _POLICY] if self.strict else []
        if refused:
            raise BadInput("; ".join(_told(problem) for problem in refused[:10]) + f". See {GUIDE}")
        for problem in problems:
            self._add(self.dropped if problem.kind in DROPS else self.changed, problem.kind, problem.times)
            self.warn_once(problem.kind, f"{_told(problem)}. Others of this kind are only counted. See {GUIDE}")

    def lose(self, kind: str, message: str, times: int = 1) -> None:
        """Counts what was lost to trouble on this machine; warns at the first."""
        self._add(self.dropped, kind, times)
        self.warn_once(kind, f"{message}. What is lost is counted in run.status() and in the run's tag {DROPPED_TAG}")

    def warn_once(self, kind: str, message: str) -> None:
        """Warns, unless it has warned of this kind before."""
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(message)

    def _add(self, counts: dict[str, int], kind: str, times: int) -> None:
        with self._lock:
            counts[kind] = counts.get(kind, 0) + times

    def start_over(self) -> None:
        """Counts from zero: in a forked child, whose parent tells of what was before."""
        self.changed: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        self._warned: set[str] = set()
        self._lock = RLock()  # reentrant: the handler of a signal may count too

    def tags(self, whose: str = "") -> dict[str, str]:
        """The counts as tags of the run; none where there is nothing to tell.

        Args:
            whose: the end of the tags' keys, for a process that is not the run's owner.
        """
        counts = {DROPPED_TAG: self.dropped, CHANGED_TAG: self.changed}
        return {
            tag + whose: json.dumps(count, sort_keys=True)[:TAG_VALUE_MAX] for tag, count in counts.items() if count
        }


def _told(problem: Problem) -> str:
    return f"{problem.subject}: {problem.answer}"
