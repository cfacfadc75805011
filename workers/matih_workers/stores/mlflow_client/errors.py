"""What MLflow's exceptions mean. Only what is sure is named; all else stays as it is, for `probe` to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_schemas.errors import MatihError
from matih_workers.stores.protocol import StoreTooSlow, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.exceptions import MlflowException

_NOT_LET_IN: Final = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
_BUSY: Final = {"REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "RESOURCE_LIMIT_EXCEEDED"}
# The last errors of urllib3 and requests where nothing was sent, by name: neither is a dependency of ours.
_NOTHING_SENT: Final = {"NewConnectionError", "ConnectTimeoutError", "NameResolutionError"}
_NO_ANSWER: Final = {"ReadTimeoutError", "ReadTimeout"}
_TURNED_AWAY: Final = ("too many 429 ", "too many 502 ", "too many 503 ", "too many 504 ")


class NotFound(MatihError):
    """MLflow does not have this run or experiment."""


class AlreadyExists(MatihError):
    """MLflow has an experiment of this name, maybe a deleted one."""


class Refused(MatihError):
    """MLflow refuses this very call: a value, or the state of the run or experiment, is not right for it."""


def translated(error: MlflowException, what: str) -> Exception:
    """The exception to raise for MLflow's, `what` being the call; MLflow's own where its meaning is not sure."""
    code, message = error.error_code, f"{what}: {error.message}"
    if code == "RESOURCE_DOES_NOT_EXIST":
        return NotFound(message)
    if code == "RESOURCE_ALREADY_EXISTS":
        return AlreadyExists(message)
    if code == "INVALID_PARAMETER_VALUE":
        return Refused(message)
    if code in _NOT_LET_IN:
        return StoreUnavailable(f"{message}: MLflow does not let this worker in; check its credentials")
    if code in _BUSY or _is_turned_away(error):
        return StoreUnavailable(message)
    if any(type(link).__name__ in _NO_ANSWER for link in _chain(error)):
        return StoreTooSlow(message)
    return error


def _is_turned_away(error: BaseException) -> bool:
    """Whether nothing reached MLflow, or it said that it is busy."""
    return any(
        type(link).__name__ in _NOTHING_SENT or any(words in str(link) for words in _TURNED_AWAY)
        for link in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of; urllib3 puts some of it into `reason` or the arguments."""
    seen: set[int] = set()
    links: list[object] = [error]
    while links:
        link = links.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        links += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
