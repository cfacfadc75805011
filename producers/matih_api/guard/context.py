"""What every answer has: a request's id, and the headers that keep browsers from doing harm."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

from matih_api.guard.asgi import REQUEST_ID, header, state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_api.guard.asgi import App, Message, Receive, Scope, Send

_SANE: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_DATA_CSP: Final = b"default-src 'none'; frame-ancestors 'none'; sandbox"
_PAGE_CSP: Final = b"frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
_API: Final = "/api/"


class Context:
    """The outermost middleware."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(header(scope, b"x-request-id"))
        state(scope)[REQUEST_ID] = request_id

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                found = answer_headers(given, scope["path"], scope.get("scheme") == "https")
                message = {**message, "headers": [*found, (b"x-request-id", request_id.encode())]}
            await send(message)

        await self._app(scope, receive, dressed)


def request_id_of(given: str | None) -> str:
    """The client's own id if it is one to stand in logs and headers, else a new one."""
    return given if given and _SANE.fullmatch(given) else uuid.uuid4().hex


def answer_headers(given: Iterable[tuple[bytes, bytes]], path: str, tls: bool) -> list[tuple[bytes, bytes]]:
    """An answer's headers with those for security; what the app set for caching stays, the server's name goes.

    Args:
        given: the app's.
        path: the request's.
        tls: whether it came by HTTPS, here or at the proxy before.
    """
    kept = [(name, value) for name, value in given if name.lower() not in (b"server", b"x-request-id")]
    names = {name.lower(): value for name, value in kept}
    page = not path.startswith(_API) and names.get(b"content-type", b"").startswith(b"text/html")
    more = [*_ALWAYS, (b"content-security-policy", _PAGE_CSP if page else _DATA_CSP)]
    if path.startswith(_API):
        more.append((b"cache-control", b"no-store"))
    if tls:
        more.append(_HSTS)
    return kept + [(name, value) for name, value in more if name not in names]
