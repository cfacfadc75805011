"""Roles and actors as words: what stands in claims, in the tokens' file and on the command line."""

from __future__ import annotations

import re
from typing import Final

from matih_api.auth.principal import Role
from matih_schemas.errors import InvalidName
from matih_schemas.identity import check_tenant

ROLE_WORDS: Final = {role.name.lower(): role for role in Role}
ACTOR_MAX: Final = 255
"""Characters of an actor's name: as many as OpenID Connect allows a `sub`."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def role_named(word: str) -> Role | None:
    """The role that a word, in any case, names; None if it names none."""
    return ROLE_WORDS.get(word.strip().lower())


def word_of(role: Role) -> str:
    """The role's word."""
    return role.name.lower()


def check_actor(name: str) -> str:
    """Returns the name if it may stand in events and log lines: 1 to 255 characters, no control characters.

    Raises:
        InvalidName: it may not; the message names the rule, not the name.
    """
    if not name.strip() or len(name) > ACTOR_MAX or _UNPRINTABLE.search(name):
        raise InvalidName(f"an actor's name is 1 to {ACTOR_MAX} characters, not blank, without control characters")
    return name


def grant_in(text: str, default: Role) -> tuple[str, Role]:
    """The tenant and role of `TENANT` or `TENANT:ROLE` (a tenant's name has no colon).

    Raises:
        InvalidName: it names no tenant or no role; the message says which.
    """
    tenant, colon, word = text.partition(":")
    role = role_named(word) if colon else default
    if role is None:
        raise InvalidName(f"{text[:80]!r} names no role: write TENANT:reader, TENANT:writer or TENANT:admin")
    return check_tenant(tenant), role
