"""Who asks, told before anything of the request is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request

from matih_api.errors import answer
from matih_api.problems import Problem

if TYPE_CHECKING:
    from matih_api.auth.principal import Authenticator

_FREE: Final = ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")


class Identify:
    """Middleware: `request.state.principal` is who asks."""

    def __init__(self, app: Any, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, or what else the server has."""
        if scope["type"] == "http" and not scope["path"].startswith(_FREE):
            request = Request(scope)
            try:
                request.state.principal = await self._authenticator.authenticate(request.headers.get("authorization"))
            except Problem as problem:
                await answer(request, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)
