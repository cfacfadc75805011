"""Which tenant a request is for: by the credential, then the header X-Tenant-ID, then `?tenant_id=`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_api.problems import FieldError, bad_request, forbidden, invalid, not_found
from matih_schemas.errors import InvalidName
from matih_schemas.identity import check_tenant

if TYPE_CHECKING:
    from matih_api.auth.principal import Principal, Role

HEADER: Final = "X-Tenant-ID"
QUERY: Final = "tenant_id"


def named_tenant(principal: Principal, header: str | None, query: str | None, default: str) -> str:
    """The one tenant that a create or a list is for.

    Args:
        principal: who asks.
        header: the X-Tenant-ID, None without one.
        query: the `tenant_id` of the query, None without one.
        default: MATIH_TENANT, for open mode.

    Raises:
        matih_api.problems.Problem: 422 no tenant's name; 400 header and query differ, or several tenants are granted
            and none is named; 403 the credential does not grant it.
    """
    asked = _asked(principal, header, query)
    if asked is not None:
        return asked
    if principal.open:
        return default
    if len(principal.grants) > 1:
        raise bad_request(
            "tenant-needed",
            f"the credential is good for several tenants: name one in the header {HEADER}",
            FieldError(("header", HEADER), "is needed with this credential"),
        )
    if not principal.grants:
        raise forbidden("the credential is good for no tenant: ask whoever runs this server for one that is")
    return next(iter(principal.grants))


def tenants_for_ids(principal: Principal, header: str | None, query: str | None) -> frozenset[str] | None:
    """The tenants among whose objects a call on an id looks; None is everybody's (open mode, no tenant named).

    What is in none of them has to be answered as what does not exist.

    Raises:
        matih_api.problems.Problem: 422, 400 (they differ) and 403, as `named_tenant`.
    """
    asked = _asked(principal, header, query)
    if asked is not None:
        return frozenset((asked,))
    return None if principal.open else frozenset(principal.grants)


def require(principal: Principal, tenant: str, role: Role, what: str = "tenant", which: str | None = None) -> None:
    """Lets pass who has this role, or a greater one, for the tenant.

    Args:
        principal: who asks.
        tenant: whose the object is.
        role: the least that is needed.
        what: the kind of object, as in `problems.not_found`.
        which: the object's id as the request gave it; the tenant's name without one.

    Raises:
        matih_api.problems.Problem: 403 it has a lesser role; 404 it has none, with the body that an object has that
            does not exist.
    """
    has = principal.role(tenant)
    if has is None:
        raise not_found(what, tenant if which is None else which)
    if has < role:
        raise forbidden(
            f"this needs the role {role.name.lower()} for tenant {tenant!r}, the credential has {has.name.lower()}"
        )


def _asked(principal: Principal, header: str | None, query: str | None) -> str | None:
    """The tenant that the request names, if it names one: it is granted, or nobody has to log in."""
    named = {
        _checked(value, where)
        for value, where in ((header, ("header", HEADER)), (query, ("query", QUERY)))
        if value is not None
    }
    if len(named) > 1:
        raise bad_request(
            "contradictory-tenants",
            f"the header {HEADER} and the query's {QUERY} name different tenants: send one of them",
            FieldError(("header", HEADER), f"differs from the query's {QUERY}"),
            FieldError(("query", QUERY), f"differs from the header {HEADER}"),
        )
    tenant = next(iter(named), None)
    if tenant is not None and principal.role(tenant) is None:
        raise forbidden(f"the credential grants nothing for tenant {tenant!r}: name another, or ask for one that does")
    return tenant


def _checked(value: str, where: tuple[str, str]) -> str:
    try:
        return check_tenant(value)
    except InvalidName as error:
        raise invalid(str(error), FieldError(where, str(error))) from None
