"""Tiny apps behind the guard, and how they are called without a server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from matih_api.guard.answers import ProblemResponse, unexpected
from matih_api.guard.metrics import Metrics
from matih_api.guard.settings import LimitSettings
from matih_api.guard.stack import guarded
from matih_api.guard.traces import publishing, trace_headers
from matih_api.problems import Problem, not_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matih_api.guard.asgi import App
    from matih_api.guard.limits import BodyRule

MAX_BODY = 4096


router = APIRouter()


@router.post("/api/echo")
async def echo(request: Request) -> Any:
    return {"bytes": len(await request.body()), "json": await request.json()}


@router.get("/api/runs/{run_id}")
async def run(run_id: str, request: Request) -> Any:
    request.state.tenant, request.state.actor = "acme", "alice"
    return {"run_id": run_id}


@router.get("/api/runs/{run_id}/metrics/{metric:path}")
async def metric(run_id: str, metric: str) -> Any:
    return {"run_id": run_id, "metric": metric}


@router.post("/api/upload")
async def upload(request: Request) -> Any:
    try:
        return {"bytes": sum([len(part) async for part in request.stream()])}
    except Exception as error:  # as FastAPI does with what a form's reader raises
        raise HTTPException(400, "There was an error parsing the body") from error


@router.get("/api/missing")
async def missing() -> Any:
    raise not_found("run", "x")


@router.get("/api/broken")
async def broken() -> Any:
    raise RuntimeError("secret-token")


@router.get("/api/slow")
async def slow() -> Any:
    await asyncio.Event().wait()


@router.get("/api/stream")
async def stream(pause: float = 0.0) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(pause)
            yield b"%d" % number

    return StreamingResponse(parts(), media_type="text/plain")


@router.get("/docs")
async def docs() -> HTMLResponse:
    return HTMLResponse("<p>docs</p>")


@router.post("/api/publish")
async def publish() -> Any:
    outside = dict(trace_headers())
    with publishing("events", 2):
        inside = dict(trace_headers())
    return {"outside": _text(outside), "inside": _text(inside)}


def routes() -> FastAPI:
    """What the tests need of an API."""
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.exception_handler(Problem)
    async def told(request: Request, found: Problem) -> ProblemResponse:
        return ProblemResponse(found, request)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, _error: Exception) -> ProblemResponse:
        return ProblemResponse(unexpected(), request)

    app.include_router(router)
    return app


def served(rules: tuple[BodyRule, ...] = (), metrics: Metrics | None = None, **limits: Any) -> App:
    """The routes behind the guard."""
    return guarded(routes(), LimitSettings(**limits), metrics or Metrics(), MAX_BODY, rules)


def call(app: App, method: str, url: str, **options: Any) -> httpx.Response:
    """One request's answer."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=20) as client:
            return await client.request(method, url, **options)

    return asyncio.run(ask())


def raw(app: App, method: str, path: bytes, query: bytes = b"", headers: Any = (), body: bytes = b"") -> httpx.Response:
    """As `call`, with a target and headers that no client library would send."""
    sent: list[Any] = []

    async def ask() -> None:
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": httpx.URL("http://api" + path.decode("latin-1")).path,
            "raw_path": path,
            "query_string": query,
            "headers": list(headers),
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
            "server": ("api", 80),
            "client": ("127.0.0.1", 1),
        }
        await app(scope, receive, send)

    asyncio.run(ask())
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=content)


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The body of an answer that has to be this problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.content)
    assert body["type"] == f"urn:matih:problem:{kind}"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def _text(headers: dict[str, bytes]) -> dict[str, str]:
    return {name: value.decode() for name, value in headers.items()}
