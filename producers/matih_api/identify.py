"""Who asks, told before anything of the request is read; and whether its tenant may ask now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from starlette.requests import Request

from matih_api.errors import answer
from matih_api.problems import Problem
from matih_api.tenancy import HEADER, QUERY

if TYPE_CHECKING:
    from matih_api.auth.principal import Authenticator, Principal
    from matih_api.guard.fairness import Fairness
    from matih_api.guard.quotas import Quotas

_READING: Final = frozenset({"GET", "HEAD"})
_FREE: Final = frozenset({"/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"})


class Identify:
    """Middleware: `request.state.principal` is who asks; it has a slot of this process while it is answered."""

    def __init__(
        self, app: Any, authenticator: Authenticator, quotas: Quotas, reads: Fairness, writes: Fairness, tenant: str
    ) -> None:
        """Around an app.

        Args:
            app: what answers.
            authenticator: who tells.
            quotas: how many requests a tenant may make.
            reads: how many GETs are answered at once; apart from the others, for MLflow may keep them waiting.
            writes: how many of the others.
            tenant: whose requests are those that name none, in open mode.
        """
        self._app = app
        self._authenticator = authenticator
        self._quotas = quotas
        self._reads, self._writes = reads, writes
        self._tenant = tenant

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, or what else the server has."""
        if scope["type"] != "http" or scope["path"] in _FREE:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            principal = await self._authenticator.authenticate(request.headers.get("authorization"))
            request.state.principal, request.state.actor = principal, principal.actor
            pays = payer(principal, request.headers.get(HEADER), _queried(scope), self._tenant)
            self._quotas.request(pays)
            fairness = self._reads if scope["method"] in _READING else self._writes
            async with fairness.slot(pays) as request.state.release_slot:
                await self._app(scope, receive, send)
        except Problem as problem:
            await answer(request, problem)(scope, receive, send)


def payer(principal: Principal, header: str | None, query: str | None, default: str) -> str:
    """Whose quota a request counts against: the tenant that it names, if that is granted; else who asks."""
    named = header or query
    if named is not None and principal.role(named) is not None:
        return named
    if principal.open:
        return default
    return next(iter(principal.grants)) if len(principal.grants) == 1 else f"actor:{principal.actor}"


def _queried(scope: Any) -> str | None:
    text = scope.get("query_string", b"").decode("latin-1")
    return parse_qs(text).get(QUERY, [None])[0] if QUERY in text else None
