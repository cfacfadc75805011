"""A span for each batch, linked to the requests that its events came of."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from matih_kafka import tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_workers.records import Received

LINKS_MAX: Final = 128
"""Links of one span (OpenTelemetry's own default limit)."""


def batch(records: Sequence[Received]) -> AbstractContextManager[Any]:
    """The span of one try to apply the records; nothing where no traces are asked for."""
    tracer = tracing.tracer("matih-worker")
    if tracer is None:
        return nullcontext()
    from opentelemetry.trace import Link, SpanKind

    parents = list(dict.fromkeys(filter(None, (tracing.traceparent_of(record.headers) for record in records))))
    attributes: dict[str, Any] = {
        "messaging.system": "kafka",
        "messaging.destination.name": records[0].topic,
        "messaging.batch.message_count": len(records),
    }
    return tracer.start_as_current_span(
        "apply events",
        kind=SpanKind.CONSUMER,
        links=[Link(tracing.parent_of(parent)) for parent in parents[:LINKS_MAX]],
        attributes=attributes,
    )
