"""Where nobody has to log in: keeps the pages of other sites from using a browser on this machine as their hand.

Two ways they have. DNS rebinding: a site's name suddenly leads to 127.0.0.1, and its page reads the answers; what gives
it away is the name in `Host`. Cross-site requests: a page sends a write and does not care for the answer; what gives it
away is `Origin`, which browsers always send with those (https://fetch.spec.whatwg.org/#origin-header).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from matih_api.guard.asgi import header
from matih_api.guard.limits import WRITES
from matih_api.problems import FieldError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection

    from matih_api.guard.asgi import App, Receive, Scope, Send

SETTING: Final = "MATIH_API_ALLOWED_HOSTS"
_SHOWN: Final = 80


class Browsers:
    """Middleware: refuses what only another site's page would send."""

    def __init__(self, app: App, hosts: Collection[str]) -> None:
        """`hosts`: names, in lower case, that this server has besides the loopback's and its addresses."""
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request.

        Raises:
            Problem: 403.
        """
        if scope["type"] == "http":
            host = header(scope, b"host")
            check_host(host, self._hosts)
            if scope["method"] in WRITES:
                check_origin(header(scope, b"origin"), host, self._hosts)
        await self._app(scope, receive, send)


def check_host(host: str | None, hosts: Collection[str]) -> None:
    """The name by which the server was asked. A client without one is no browser; an address can't be rebound.

    Raises:
        Problem: 403, it is no name of this server's.
    """
    if host is None or "*" in hosts:
        return
    name = _name(f"//{host}")
    if not (name in hosts or _is_local(name) or _is_address(name)):
        detail = f"this server is not called {host[:_SHOWN]!r}: name it in {SETTING}, or give people credentials"
        raise _refused("foreign-host", detail, "Host")


def check_origin(origin: str | None, host: str | None, hosts: Collection[str]) -> None:
    """The page that a write comes from; scripts and commands have none.

    Raises:
        Problem: 403, it is another site's.
    """
    if origin is None or "*" in hosts or _name(origin) in hosts:
        return
    scheme, _, place = origin.partition("://")
    if not place or _place(place, scheme) != _place(host or "", scheme):
        detail = (
            f"a page of {origin[:_SHOWN]!r} may not write here: name its host in {SETTING}, or give people credentials"
        )
        raise _refused("foreign-origin", detail, "Origin")


def _refused(kind: str, detail: str, which: str) -> Problem:
    return Problem(403, kind, detail, errors=[FieldError(("header", which), "not this server's")])


def _name(url: str) -> str:
    """The host of an address, without its port; empty if there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _place(place: str, scheme: str) -> str:
    """Host and port, without a port that goes without saying."""
    return place.lower().removesuffix(":443" if scheme == "https" else ":80")


def _is_local(name: str) -> bool:
    """Browsers never look these up: https://www.rfc-editor.org/rfc/rfc6761#section-6.3."""
    return name == "localhost" or name.endswith(".localhost")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
