"""W3C trace context on events, and OpenTelemetry where it is asked for: its libraries are imported for nobody else."""

from __future__ import annotations

import logging
import os
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.trace import Tracer

logger = logging.getLogger(__name__)

TRACEPARENT: Final = "traceparent"
"""The header's name, in HTTP and on records (W3C Trace Context; CloudEvents' Distributed Tracing extension)."""
_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def valid_traceparent(value: str | None) -> str | None:
    """The value if it is a traceparent that this release of W3C Trace Context knows; None otherwise."""
    return value if value and _FORM.fullmatch(value) else None


def traceparent_of(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """A record's traceparent, if it has a valid one."""
    found = next((value for name, value in headers if name == TRACEPARENT), b"")
    return valid_traceparent(found.decode("latin-1"))


def configured() -> bool:
    """Whether the environment asks for traces, by OpenTelemetry's own variables."""
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").lower()
    wanted = (
        exporter
        or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    return bool(wanted) and exporter != "none" and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


@cache
def tracer(service: str) -> Tracer | None:
    """This process's tracer; None if nobody asks for traces or the libraries are not there, which is told once.

    Args:
        service: the name of the service, unless OTEL_SERVICE_NAME gives another.
    """
    if not configured():
        return None
    try:
        from opentelemetry import trace

        provider = _provider(service)
    except ImportError as error:
        logger.warning("traces are asked for, but %s is missing: pip install 'matih-tracking[otel]'", error.name)
        return None
    return trace.get_tracer("matih", tracer_provider=provider)


def parent_of(traceparent: str | None) -> Any:
    """The remote span's context of a valid traceparent, as OpenTelemetry has it; None without one."""
    if traceparent is None:
        return None
    from opentelemetry.trace import SpanContext, TraceFlags

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def traceparent(span: Any) -> str | None:
    """The traceparent of an OpenTelemetry span; None if it has no valid context."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _provider(service: str) -> Any:
    """A provider that exports in the background, and at the process's end what is left.

    Raises:
        ImportError: the exporter is not installed.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    return provider


def _exporter() -> Any:
    if os.environ.get("OTEL_TRACES_EXPORTER", "").lower() == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
