"""A Problem as an ASGI answer."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from starlette.responses import Response

from matih_api.guard.asgi import ERROR_KIND, REQUEST_ID, state
from matih_api.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from matih_api.guard.asgi import App, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


async def send_problem(problem: Problem, scope: Scope, send: Send, request_id: str | None = None) -> None:
    """Sends the whole answer, and notes its kind for logs and metrics.

    Args:
        problem: what to say.
        scope: the request's.
        send: where to.
        request_id: the one that `Context` gave to the request, if None.
    """
    headers, data = rendered(problem, scope, request_id)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def rendered(problem: Problem, scope: Scope, request_id: str | None = None) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of the answer; its kind is noted for logs and metrics."""
    found = state(scope)
    found[ERROR_KIND] = problem.kind
    body = problem.body(scope.get("path", ""), request_id or found.get(REQUEST_ID, ""))
    data = json.dumps(body, separators=(",", ":")).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(data)).encode())]
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers.items()]
    return headers, data


class ProblemResponse(Response):
    """The answer for an exception handler of Starlette or FastAPI."""

    def __init__(self, problem: Problem, request: Request) -> None:
        headers, data = rendered(problem, request.scope)
        super().__init__(data, problem.status)
        self.raw_headers = headers


def unexpected() -> Problem:
    """500, of what nobody foresaw; what it was stands in the log only."""
    return Problem(500, "internal-error", "this is a bug of the server: please report it with the request_id")


class Answers:
    """The innermost middleware: what the app raises is an answer, so that those outside see answers only.

    FastAPI's own handler for `Exception` answers and raises on: give it `ProblemResponse(unexpected(), request)`.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request.

        Raises:
            Exception: the app's own, after it had begun to answer: the server then ends the connection.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = ended = False

        async def watched(message: Message) -> None:
            nonlocal begun, ended
            begun = True
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Problem as problem:
            if begun:
                raise
            await send_problem(problem, scope, send)
        except Exception as error:
            _tell(error, scope)
            if not begun:
                await send_problem(unexpected(), scope, send)
            elif not ended:
                raise


def _tell(error: Exception, scope: Scope) -> None:
    about = f"{scope['method']} {scope['path']!r}"
    logger.error(
        "%s: %s", about, type(error).__name__, exc_info=error, extra={"request_id": state(scope).get(REQUEST_ID)}
    )
