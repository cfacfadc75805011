"""Who is asking: what every way of logging in comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(IntEnum):
    """What somebody may do for one tenant; each may do what those before it may."""

    READER = 1
    WRITER = 2
    ADMIN = 3


@dataclass(frozen=True)
class Principal:
    """An authenticated somebody.

    Attributes:
        actor: the name that stands in events and logs; never a secret.
        grants: the role by tenant.
        open: nobody has to log in here (no credentials are configured): every tenant may be written and read.
    """

    actor: str
    grants: Mapping[str, Role] = field(default_factory=dict)
    open: bool = False

    def role(self, tenant: str) -> Role | None:
        """What this principal may do for the tenant; None: it is not even told that it exists."""
        return Role.ADMIN if self.open else self.grants.get(tenant)


ANYBODY = Principal("anonymous", open=True)
"""Who asks in open mode."""


class Authenticator(Protocol):
    """Tells who is asking. Called in the event loop: must not block it."""

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal of an `Authorization` header.

        Raises:
            matih_api.problems.Problem: 401 for no, a wrong or an expired credential; 403 for a good one that grants
                nothing; 503 if it can't be told now (the issuer's keys can't be had).
        """
