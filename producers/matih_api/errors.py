"""Whatever goes wrong below a route, as a problem."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from matih_api.problems import MEDIA_TYPE, FieldError, Problem

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)

_ERRORS_MAX: Final = 50
_KINDS: Final = {404: "no-such-path", 405: "method-not-allowed"}


def add_handlers(app: FastAPI) -> None:
    """Lets the app answer errors as problems."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def answer(request: Request, problem: Problem) -> Response:
    """The problem as an answer."""
    request_id = getattr(request.state, "request_id", "")
    request.state.error_kind = problem.kind
    body = problem.body(request.url.path, request_id)
    return JSONResponse(body, problem.status, problem.headers, media_type=MEDIA_TYPE)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    broken = next((item for item in found if item["type"] == "json_invalid"), None)
    if broken is not None:
        why = str(broken.get("ctx", {}).get("error", broken["msg"]))
        return answer(request, Problem(400, "malformed-json", f"the body is no JSON: {why}"))
    errors = [FieldError(tuple(item["loc"]), _message(item)) for item in found[:_ERRORS_MAX]]
    where = ".".join(map(str, errors[0].loc))
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return answer(request, Problem(422, "invalid-request", f"{where}: {errors[0].msg}{more}", errors=errors))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _KINDS.get(error.status_code, "http-error")
    detail = f"{request.method} {request.url.path}: {error.detail}"
    return answer(request, Problem(error.status_code, kind, detail, headers=dict(error.headers or {})))


def _message(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such field"
    return str(item["msg"]).removeprefix("Value error, ")
