"""How a run ends, from how its code ends. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from matih_schemas.events import Status

STATUS_WORDS: Final[dict[str, Status]] = {
    "finished": "FINISHED",
    "completed": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
}
"""The words for how a run ends, in lower case: MLflow's and the platform's."""


class Outcome(NamedTuple):
    """A status, and for people why."""

    status: Status
    reason: str = ""


def outcome(error: BaseException | None) -> Outcome:
    """How a run ends whose code this exception has left; None if it has come to its end."""
    if error is None or isinstance(error, GeneratorExit):
        return Outcome("FINISHED")
    if isinstance(error, KeyboardInterrupt):
        return Outcome("KILLED", "KeyboardInterrupt")
    if isinstance(error, SystemExit):
        clean = error.code is None or (isinstance(error.code, int) and error.code == 0)
        return Outcome("FINISHED") if clean else Outcome("FAILED", f"exit code {error.code!r:.100}")
    return Outcome("FAILED", type(error).__name__)
