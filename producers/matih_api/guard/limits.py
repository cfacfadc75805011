"""The middleware that refuses what is too large, too slow, too deep or not to be read, before the routes see it."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from matih_api.guard.answers import send_problem
from matih_api.guard.asgi import header
from matih_api.guard.bodies import check_json
from matih_api.guard.heads import check_head
from matih_api.problems import Problem, bad_request, unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_api.guard.asgi import App, Message, Receive, Scope, Send
    from matih_api.guard.settings import LimitSettings

JSON: Final = "application/json"
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
DRAIN_SECONDS: Final = 2.0
DRAIN_BODIES: Final = 8
"""A body that is refused is still read for so long, and so many times the limit: a client that is writing when the
connection goes away never sees the answer."""
RETRY_AFTER: Final = 5
TOO_SLOW: Final = "body-too-slow"


@dataclass(frozen=True)
class BodyRule:
    """Which bodies some paths take, instead of JSON of the usual size. They are passed on as they come, not gathered.

    Attributes:
        path: matches the whole path.
        media_types: what Content-Type may be; JSON beside them only if it is named.
        max_bytes: bytes of the body.
    """

    path: re.Pattern[str]
    media_types: frozenset[str]
    max_bytes: int


@dataclass
class Body:
    """How far a request's body came.

    Attributes:
        most: bytes that are allowed.
        patience: seconds that it may take besides what its size takes at the least rate.
        rate: bytes per second, at least.
        ended: all of it came.
        refusal: why it is refused.
    """

    most: int
    patience: float
    rate: int
    since: float = field(default_factory=time.monotonic)
    size: int = 0
    ended: bool = False
    refusal: Problem | None = None

    async def next(self, receive: Receive) -> Message:
        """The next message, in time.

        Raises:
            Problem: 408 or 413.
        """
        left = self.since + self.patience + self.size / self.rate - time.monotonic()
        message: Message | None = None
        with anyio.move_on_after(max(0.0, left)):
            message = await receive()
        if message is None:
            detail = f"{self.size} bytes of the body came in {time.monotonic() - self.since:.0f} s: send it faster"
            raise self._refused(Problem(408, TOO_SLOW, detail, headers={"Connection": "close"}))
        self.took(message)
        if self.size > self.most:
            raise self._refused(too_large(f"has more than {self.most} bytes"))
        return message

    def _refused(self, problem: Problem) -> Problem:
        self.refusal = problem
        return problem

    def took(self, message: Message) -> None:
        """Counts a part."""
        self.size += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)


class Limits:
    """Refuses by itself, or passes on; JSON bodies are passed on whole, others as they come."""

    def __init__(self, app: App, settings: LimitSettings, max_body_bytes: int, rules: Sequence[BodyRule] = ()) -> None:
        """`rules`: the first whose path matches holds; without one, JSON of at most `max_body_bytes`."""
        self._app = app
        self._settings = settings
        self._max_body_bytes = max_body_bytes
        self._rules = tuple(rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rule = next((rule for rule in self._rules if rule.path.fullmatch(scope["path"])), None)
        most = rule.max_bytes if rule else self._max_body_bytes
        body = Body(most, self._settings.body_timeout, self._settings.body_rate, ended=not _has_body(scope))
        try:
            receive = await self._checked(scope, receive, body, rule)
        except Problem as problem:
            await _refuse(problem, body, scope, receive, send)
            return
        exchange = Exchange(receive, send, self._settings.request_timeout, body)
        instead = await exchange.run(self._app, scope)
        if instead is not None:
            await _refuse(instead, body, scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, body: Body, rule: BodyRule | None) -> Receive:
        """What the app reads the body from.

        Raises:
            Problem: the request is refused.
        """
        check_head(scope, self._settings)
        if body.ended:
            return receive
        _check_type(scope, rule)
        _check_declared(scope, body.most)
        return receive if rule else _replayed(await self._gathered(body, receive), receive)

    async def _gathered(self, body: Body, receive: Receive) -> bytes:
        """The whole body, looked through."""
        parts: list[bytes] = []
        while not body.ended:
            message = await body.next(receive)
            if message["type"] != "http.request":
                raise bad_request("disconnected", "the client went away")
            parts.append(message.get("body", b""))
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        check_json(data, self._settings.max_json_depth)
        return data


class Exchange:
    """One request in the app: its answer has to begin in time, counted from the end of the body."""

    def __init__(self, receive: Receive, send: Send, seconds: float, body: Body) -> None:
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._body = body
        self._begun = False
        self._limit = anyio.CancelScope()

    async def run(self, app: App, scope: Scope) -> Problem | None:
        """Runs the app; what has to be answered instead of it, if anything."""
        if self._body.ended:
            self._start_clock()
        with self._limit:
            await app(scope, self._next, self._answer)
        if self._begun:
            return None
        if self._body.refusal is not None:
            return self._body.refusal
        return _too_slow(self._seconds) if self._limit.cancelled_caught else None

    async def _next(self) -> Message:
        if self._body.ended:
            return await self._receive()
        message = await self._body.next(self._receive)
        if not message.get("more_body", False) and not self._begun:
            self._start_clock()
        return message

    async def _answer(self, message: Message) -> None:
        if self._begun or self._body.refusal is None:  # what the app makes of a refusal is not sent
            self._begun, self._limit.deadline = True, math.inf
            await self._send(message)

    def _start_clock(self) -> None:
        self._limit.deadline = anyio.current_time() + self._seconds


def too_large(what: str) -> Problem:
    """413."""
    return Problem(413, "request-too-large", f"the body {what}: send it in parts", headers={"Connection": "close"})


def _too_slow(seconds: float) -> Problem:
    detail = f"no answer within {seconds:g} s; a write may have happened: repeat it with the same Idempotency-Key"
    return unavailable("request-timeout", detail, RETRY_AFTER)


def _has_body(scope: Scope) -> bool:
    if scope["method"] not in WRITES:
        return False
    return header(scope, b"content-length") not in (None, "0") or header(scope, b"transfer-encoding") is not None


def _check_type(scope: Scope, rule: BodyRule | None) -> None:
    given = header(scope, b"content-type") or ""
    kind = given.partition(";")[0].strip().lower()
    wanted = rule.media_types if rule else frozenset({JSON})
    if kind in wanted or (JSON in wanted and re.fullmatch(r"application/[\w.-]+\+json", kind)):
        return
    found = f"Content-Type is {given[:100]!r}" if given else "there is no Content-Type"
    raise Problem(415, "unsupported-media-type", f"{found}: send {' or '.join(sorted(wanted))}")


def _check_declared(scope: Scope, most: int) -> None:
    declared = header(scope, b"content-length")
    if declared is None:
        return
    if not (declared.isascii() and declared.isdigit()):
        raise bad_request("malformed-request", "Content-Length is no number")
    if len(declared) > 18 or int(declared) > most:
        raise too_large(f"has {declared[:20]} bytes, {most} are allowed")


def _replayed(data: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": data, "more_body": False}

    return replay


async def _refuse(problem: Problem, body: Body, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers once the client has written its body, or a bounded while is over."""
    waits_to_send = header(scope, b"expect") is not None
    if not body.ended and problem.kind != TOO_SLOW and not waits_to_send:
        with anyio.move_on_after(DRAIN_SECONDS):
            while not body.ended and body.size <= DRAIN_BODIES * body.most:
                body.took(await receive())
    await send_problem(problem, scope, send)
