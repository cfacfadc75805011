"""`POST /api/v1/events`: the event gateway, by which shippers deliver over HTTPS. docs/guides/gateway.md tells all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from matih_api.decompression import decompressed, too_large
from matih_api.gateway import checked, stamped
from matih_api.guard.traces import publishing, trace_headers
from matih_api.locations import may_name_local
from matih_api.problems import MEDIA_TYPE, Problem, bad_request
from matih_schemas import codec
from matih_schemas.event_batch import BATCH_MAX_BYTES, CONTENT_TYPE, PATH, pack
from matih_schemas.examples import record

if TYPE_CHECKING:
    from collections.abc import Collection

    from matih_api.services import Services
    from matih_schemas.events import TrackingEvent

router = APIRouter(tags=["events"])

BODY_SECONDS: Final = 30.0
"""Seconds that a body may take to arrive."""
_PROBLEMS: Final = {
    400: "The body is not of its Content-Encoding.",
    401: "No credential, or one that is not known.",
    403: "The credential may not write for an event's tenant. `errors` name the events. Nothing was published.",
    408: "The body did not arrive in time.",
    413: "The body, or one event, is too large. Nothing was published.",
    415: "Another Content-Type or Content-Encoding.",
    422: "Bytes that are no event, an event of a newer schema, or an artifact location that nobody may name here. "
    "`errors` name the events. Nothing was published.",
    429: "A quota is used up, or too much is under way. Try again after `Retry-After`.",
    503: "Kafka takes nothing now. Try again, with the same body, after `Retry-After`.",
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    for status, text in _PROBLEMS.items()
}
_EXAMPLES: Final = {
    "nothing": {"summary": "No event: asks whether the credential may write and Kafka is there.", "value": ""},
    "run": {
        "summary": "One event, a RunCreated. Each character stands for one byte (ISO 8859-1).",
        "value": pack([codec.encode(codec.from_record(record("RunCreated")))]).decode("latin-1"),
    },
}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "Each event in Avro's single-object encoding, preceded by its length (4 bytes, big endian).",
        "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}, "examples": _EXAMPLES}},
    }
}


class Accepted(BaseModel):
    """All events of the batch are on Kafka."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"accepted": 2}]})

    accepted: int = Field(ge=0, description="Events in the batch.")


@router.post(PATH, responses=_RESPONSES, openapi_extra=_BODY, operation_id="send_events")
async def send_events(
    request: Request,
    content_encoding: Annotated[str, Header(description="gzip, zstd, or none.", examples=["zstd"])] = "",
) -> Accepted:
    """Takes a batch of tracking events, and answers once Kafka has all of them.

    All or nothing but for 503: then some may be on Kafka. The same batch again does no harm: the events have ids.
    """
    services: Services = request.app.state.services
    admission, principal = services.admission, request.state.principal
    _tell_tenant(request, principal.grants)
    _check_content_type(request)
    with admission.room(_claimed_size(request)) as room:
        body = await _read(request)
        plain = await asyncio.to_thread(decompressed, body, content_encoding, BATCH_MAX_BYTES)
        room.resize(len(plain))
        local = may_name_local(principal, services.settings)
        events = await asyncio.to_thread(checked, plain, principal, admission.max_event_bytes, local=local)
        _tell_tenant(request, {event.tenant_id for event in events})
        await _publish(services, events, principal.actor)
    return Accepted(accepted=len(events))


async def _publish(services: Services, events: list[TrackingEvent], actor: str) -> None:
    """Publishes, counted and traced as `Writes.publish` does it."""
    with publishing(services.topic, len(events)), services.metrics.publishing():
        batch = await asyncio.to_thread(stamped, events, actor, trace_headers(), services.events.record)
        services.admission.admit(batch)
        await services.events.publish(batch.records)
    for tenant, volume in batch.volumes.items():
        services.metrics.published(tenant, volume.events, volume.bytes)


def _tell_tenant(request: Request, tenants: Collection[str]) -> None:
    """For the log and the counters: a request of several tenants is none's."""
    if len(tenants) == 1:
        request.state.tenant = next(iter(tenants))


def _check_content_type(request: Request) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != CONTENT_TYPE:
        raise Problem(415, "unsupported-media-type", f"Content-Type {given[:60]!r}: this takes {CONTENT_TYPE}")


def _claimed_size(request: Request) -> int:
    """How large the body is at most."""
    claimed = request.headers.get("content-length", "")
    size = int(claimed) if claimed.isascii() and claimed.isdecimal() else BATCH_MAX_BYTES
    if size > BATCH_MAX_BYTES:
        raise too_large(BATCH_MAX_BYTES)
    return size


async def _read(request: Request) -> bytes:
    try:
        return await asyncio.wait_for(_read_all(request), BODY_SECONDS)
    except ClientDisconnect:
        raise bad_request("body-cut-off", "the connection ended within the body") from None
    except asyncio.TimeoutError:
        raise Problem(
            408, "request-timeout", f"the body did not arrive within {BODY_SECONDS:g} s: send less at once"
        ) from None


async def _read_all(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BATCH_MAX_BYTES:
            raise too_large(BATCH_MAX_BYTES)
    return bytes(body)
