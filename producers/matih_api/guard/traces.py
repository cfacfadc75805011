"""A request's trace: taken from its `traceparent`, given on to its events; OpenTelemetry's spans where asked for."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from matih_api.guard.asgi import REQUEST_ID, TENANT, header, route_template, state
from matih_kafka import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span, Tracer

    from matih_api.guard.asgi import App, Message, Receive, Scope, Send

_current: Final[ContextVar[str | None]] = ContextVar("traceparent", default=None)


def trace_headers() -> tuple[tuple[str, bytes], ...]:
    """The headers that this request's events get: its traceparent, or the span's that is open now."""
    found = _current.get()
    return ((tracing.TRACEPARENT, found.encode()),) if found else ()


@contextmanager
def publishing(topic: str, events: int) -> Iterator[None]:
    """The span of a publication, until it is acknowledged; `trace_headers` within it names this span."""
    tracer = _tracer()
    if tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind

    attributes: dict[str, Any] = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.batch.message_count": events,
    }
    with (
        tracer.start_as_current_span("publish events", kind=SpanKind.PRODUCER, attributes=attributes) as span,
        _as_current(tracing.traceparent(span)),
    ):
        yield


class Traced:
    """The middleware; it must stand in the same task as the app, as all of these do."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = tracing.valid_traceparent(header(scope, b"traceparent"))
        tracer = _tracer()
        if tracer is not None:
            await self._spanned(tracer, given, scope, receive, send)
            return
        with _as_current(given):
            await self._app(scope, receive, send)

    async def _spanned(self, tracer: Tracer, given: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        from opentelemetry.trace import SpanKind

        with tracer.start_as_current_span(scope["method"], _parent(given), SpanKind.SERVER) as span:

            async def sent(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _describe(span, scope, message["status"])
                await send(message)

            with _as_current(tracing.traceparent(span)):
                await self._app(scope, receive, sent)


def _tracer() -> Tracer | None:
    return tracing.tracer("matih-api")


@contextmanager
def _as_current(traceparent: str | None) -> Iterator[None]:
    before = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(before)


def _parent(given: str | None) -> Any:
    """The context that the request came with; an empty one, so that no other request's span is the parent."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    remote = tracing.parent_of(given)
    return set_span_in_context(NonRecordingSpan(remote), Context()) if remote is not None else Context()


def _describe(span: Span, scope: Scope, status: int) -> None:
    """Attributes by OpenTelemetry's semantic conventions for HTTP servers."""
    from opentelemetry.trace import StatusCode

    route, known = route_template(scope), state(scope)
    span.update_name(f"{scope['method']} {route}")
    span.set_attribute("http.request.method", scope["method"])
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    for name, key in (("matih.tenant", TENANT), ("matih.request_id", REQUEST_ID)):
        if known.get(key):
            span.set_attribute(name, str(known[key]))
    if status >= 500:
        span.set_status(StatusCode.ERROR)
