"""ASGI's types, and what the middlewares tell each other of a request: `scope["state"]`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID: Final = "request_id"
TENANT: Final = "tenant"
ACTOR: Final = "actor"
ERROR_KIND: Final = "error_kind"
"""The keys of `scope["state"]`; the routes set tenant and actor, by `request.state.tenant = ...`."""

NO_ROUTE: Final = "(none)"


def state(scope: Scope) -> dict[str, Any]:
    """What is known of the request so far; Starlette's `request.state` shows the same."""
    found: dict[str, Any] = scope.setdefault("state", {})
    return found


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            found: str = value.decode("latin-1")
            return found
    return None


def route_template(scope: Scope) -> str:
    """The route's path as it was declared, `/api/v1/experiments/{id}`; `(none)` if no route was found."""
    found = getattr(scope.get("route"), "path", None)
    return found if isinstance(found, str) else NO_ROUTE
