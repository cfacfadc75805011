"""Who asks, for whom, and whether it is a repetition: what every route is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, Header, Query, Request

from matih_api.events import Author
from matih_api.pending.keys import KEY_MAX, RequestKey
from matih_api.problems import FieldError, invalid, not_found
from matih_api.tenancy import named_tenant, require, tenants_for_ids

if TYPE_CHECKING:
    from matih_api.auth.principal import Principal, Role
    from matih_api.services import Services

KEY_HEADER: Final = "Idempotency-Key"


class Asking:
    """One request, as far as it matters who asks."""

    def __init__(self, request: Request, header: str | None, query: str | None, key: str | None) -> None:
        self.request = request
        self.services: Services = request.app.state.services
        self.principal: Principal = request.state.principal
        self._header = header
        self._query = query
        self._key = key

    def tenant(self, role: Role) -> str:
        """The tenant of a creation or a list, for which the principal has this role.

        Raises:
            Problem: see `named_tenant` and `require`.
        """
        tenant = named_tenant(self.principal, self._header, self._query, self.services.settings.tenant)
        require(self.principal, tenant, role)
        self.request.state.tenant = tenant
        return tenant

    @property
    def tenants(self) -> frozenset[str] | None:
        """Among whose objects a call on an id looks."""
        return tenants_for_ids(self.principal, self._header, self._query)

    def may(self, tenant: str, role: Role, what: str, which: str) -> None:
        """Lets pass who has the role for the tenant of an object.

        Raises:
            Problem: 403, or the object's own 404.
        """
        require(self.principal, tenant, role, what, which)
        self.request.state.tenant = tenant

    def only_tenant(self, what: str, which: str) -> str:
        """The tenant of an object that can't be looked for, MLflow being away: the only one that it can be of.

        Raises:
            Problem: 404, it may be any of several.
        """
        tenants = self.tenants
        if tenants is None:
            return self.services.settings.tenant
        if len(tenants) != 1:
            raise not_found(what, which)
        return next(iter(tenants))

    def has_worked(self) -> None:
        """What follows is waiting: the request's slot is somebody else's from now on."""
        self.request.state.release_slot()

    async def author(self, tenant: str) -> Author:
        """Who writes, with the request's key if it has one.

        Raises:
            Problem: 422, the key is too long.
        """
        actor = None if self.principal.open else self.principal.actor
        return Author(tenant, actor, await self._request_key(tenant))

    async def _request_key(self, tenant: str) -> RequestKey | None:
        if self._key is None:
            return None
        if not 1 <= len(self._key) <= KEY_MAX:
            raise invalid(
                f"{KEY_HEADER} has {len(self._key)} characters: use 1 to {KEY_MAX}",
                FieldError(("header", KEY_HEADER), f"1 to {KEY_MAX} characters"),
            )
        url = self.request.url
        about = f"{self.request.method} {url.path}?{url.query}\n".encode()
        return RequestKey.of(tenant, self._key, about + await self.request.body())


async def asking(
    request: Request,
    x_tenant_id: Annotated[str | None, Header(description="The tenant; see the guide on tenants.")] = None,
    tenant_id: Annotated[str | None, Query(description="The tenant, if the header does not say it.")] = None,
    idempotency_key: Annotated[
        str | None, Header(description="Repetitions of a write with the same key happen once.")
    ] = None,
) -> Asking:
    """FastAPI's dependency."""
    return Asking(request, x_tenant_id, tenant_id, idempotency_key)


Asked = Annotated[Asking, Depends(asking)]
