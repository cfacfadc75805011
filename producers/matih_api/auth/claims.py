"""What a JWT's claims say: who it is, for which tenants, with which role. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matih_api.auth.principal import Principal, Role
from matih_api.auth.roles import check_actor, grant_in, role_named
from matih_api.problems import forbidden, unauthorized
from matih_schemas.errors import InvalidName

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ClaimNames:
    """Which claims say it. One inside of others is named by its path, `resource_access.matih.roles`."""

    tenant: str = "tenant_id"
    role: str = "role"
    actor: str = "sub"


def principal_of(claims: Mapping[str, Any], names: ClaimNames) -> Principal:
    """Who the bearer is.

    Raises:
        matih_api.problems.Problem: 401 it has no name; 403 it names no tenant, or no role for any.
    """
    return Principal(_actor(claims, names.actor), _grants(claims, names))


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of exactly this name (names may hold dots), else the one at this path; None without it."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _actor(claims: Mapping[str, Any], name: str) -> str:
    value = claim(claims, name)
    try:
        return check_actor(value if isinstance(value, str) else "")
    except InvalidName as error:
        raise unauthorized(f"the JWT's claim {name!r} can't be used as a name: {error}") from None


def _grants(claims: Mapping[str, Any], names: ClaimNames) -> dict[str, Role]:
    value = claim(claims, names.tenant)
    if value is None:
        raise forbidden(f"the JWT has no claim {names.tenant!r}, which has to name its tenants: have the issuer add it")
    if isinstance(value, dict):
        grants = _by_object(value)
    else:
        role = _role(claim(claims, names.role))
        grants = _by_list([value] if isinstance(value, str) else value, role)
    if not grants:
        raise forbidden(
            f"the JWT's claim {names.tenant!r} names no tenant with a role: "
            "it has to be a tenant, a list of tenants, or an object of tenant and role"
        )
    return grants


def _by_object(value: Mapping[str, Any]) -> dict[str, Role]:
    grants: dict[str, Role] = {}
    for tenant, words in value.items():
        role = _greatest(words)
        if role is not None:
            grants |= _granted(tenant, role)
    return grants


def _by_list(value: Any, role: Role | None) -> dict[str, Role]:
    grants: dict[str, Role] = {}
    for item in value if isinstance(value, list) else []:
        if isinstance(item, str) and (role or ":" in item):
            for tenant, granted in _granted(item, role or Role.READER).items():
                grants[tenant] = max(granted, grants.get(tenant, granted))
    return grants


def _granted(text: str, role: Role) -> dict[str, Role]:
    """A group that is no tenant is nobody's mistake: issuers list all of a person's groups."""
    try:
        tenant, own = grant_in(text, role)
    except InvalidName:
        return {}
    return {tenant: own}


def _role(value: Any) -> Role | None:
    """Reader where nothing is said; None where something is said that is none of our roles."""
    return Role.READER if value is None else _greatest(value)


def _greatest(words: Any) -> Role | None:
    listed = words if isinstance(words, list) else [words]
    return max((role for word in listed if isinstance(word, str) and (role := role_named(word))), default=None)
