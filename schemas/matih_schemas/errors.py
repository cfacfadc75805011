"""What can be wrong with an event or a name, by what the caller does with it."""

from __future__ import annotations

from typing import Final, Literal, get_args

Reason = Literal[
    "malformed",
    "newer_schema",
    "unknown_run",
    "unknown_experiment",
    "tenant_mismatch",
    "key_mismatch",
    "invalid_tenant",
    "invalid_entry",
    "deleted_experiment",
    "deleted_run",
    "poison",
]

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""Every reason why an event ends as a dead letter; the guide on dead letters has a line for each."""


class MatihError(Exception):
    """The root of all errors that matih's packages raise on purpose."""


class InvalidName(MatihError, ValueError):
    """A tenant, experiment or topic name that can't be used; the message says which rule it breaks."""


class InvalidEvent(MatihError):
    """An event that can never be applied as it is: it goes to the dead letters, the rest goes on.

    Attributes:
        reason: one of `REASONS`.
        detail: what exactly is wrong, for people.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class NewerSchema(InvalidEvent):
    """An event written by a newer release than this reader: redrive it after the upgrade."""

    def __init__(self, detail: str) -> None:
        super().__init__("newer_schema", detail)
