"""The event gateway's route alone, in this process, on a topic that the test can look into; tokens are as they say.

What stands around it in a real API (`tests/api/test_gateway_delivery.py` runs one) is not here.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI, Request

from matih_api.admission import Admission
from matih_api.auth.principal import ANYBODY, Principal, Role
from matih_api.errors import add_handlers, answer
from matih_api.guard.metrics import Metrics
from matih_api.problems import Problem, unauthorized
from matih_api.publishing import EventPublisher
from matih_api.routes.events import router
from matih_api.settings import ApiSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from matih_kafka.publisher import Publisher


def open_mode(authorization: str | None) -> Principal:
    return ANYBODY


def tokens_in(file: Path) -> Callable[[str | None], Principal]:
    """The file has {token: [actor, {tenant: role}]}, and may change at any time."""

    def authenticate(authorization: str | None) -> Principal:
        known = json.loads(file.read_text()).get((authorization or "").removeprefix("Bearer "))
        if known is None:
            raise unauthorized("no token, or one that is not known")
        actor, grants = known
        return Principal(actor, {tenant: Role[role] for tenant, role in grants.items()})

    return authenticate


def app(
    make_publisher: Callable[[], Publisher],
    authenticate: Callable[[str | None], Principal] = open_mode,
    admission: Admission | None = None,
    patience: float = 2.0,
    metrics: Metrics | None = None,
) -> FastAPI:
    @asynccontextmanager
    async def lifespan(found: FastAPI) -> AsyncIterator[None]:
        events = EventPublisher(make_publisher(), patience)
        found.state.services = SimpleNamespace(
            settings=ApiSettings(),
            events=events,
            admission=admission or Admission(),
            metrics=metrics or Metrics(),
            topic="events",
        )
        await events.start()
        yield
        await events.close()

    found = FastAPI(lifespan=lifespan)
    found.include_router(router)

    add_handlers(found)

    @found.middleware("http")
    async def who_asks(request: Request, call_next):  # type: ignore[no-untyped-def]
        try:
            principal = authenticate(request.headers.get("authorization"))
            request.state.principal, request.state.actor = principal, principal.actor
        except Problem as problem:
            return answer(request, problem)
        return await call_next(request)

    return found


class Serving:
    """A real uvicorn in a thread, for the time of the block."""

    def __init__(self, found: FastAPI, **options: object) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(found, host="127.0.0.1", port=0, log_level="warning", **options)  # type: ignore[arg-type]
        )
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        startup = self._server.startup

        async def then_say_so(sockets: object = None) -> None:
            await startup(sockets)  # type: ignore[arg-type]
            self._up.set()

        self._server.startup = then_say_so  # type: ignore[method-assign]
        await self._server.serve()

    def __enter__(self) -> Serving:
        self._thread.start()
        assert self._up.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(30)

    @property
    def port(self) -> int:
        return int(self._server.servers[0].sockets[0].getsockname()[1])
