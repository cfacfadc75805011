"""What the event gateway does with a batch of events: each is checked, and stamped with who sent it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from matih_api.auth.principal import Role
from matih_api.locations import shipped_problem
from matih_api.problems import FieldError, Problem, forbidden, invalid
from matih_kafka.framing import SINGLE_OBJECT
from matih_schemas import codec
from matih_schemas.errors import InvalidEvent
from matih_schemas.event_batch import EVENT_MAX_BYTES, MalformedBatch, unpack
from matih_schemas.events import AdminAction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matih_api.auth.principal import Principal
    from matih_kafka.publisher import Record
    from matih_schemas.events import TrackingEvent

    Header = tuple[str, bytes]
    RecordOf = Callable[[TrackingEvent, Sequence[Header]], Record]

TENANT_CHECKED: Final = "matih.tenant_checked"
"""The header that says for which tenant a gateway has let an event in."""
ERRORS_MAX: Final = 20
"""Events that one answer names."""


@dataclass
class Volume:
    """What one tenant sends: events, and the bytes of their records' keys and values before compression."""

    events: int = 0
    bytes: int = 0


@dataclass
class Batch:
    """Events that may be published, in their order, and how much of it is whose."""

    records: list[Record] = field(default_factory=list)
    volumes: dict[str, Volume] = field(default_factory=dict)


def checked(
    body: bytes, principal: Principal, max_event_bytes: int = EVENT_MAX_BYTES, *, local: bool = False
) -> list[TrackingEvent]:
    """All events of a body, in their order, if the principal may send them; else none of them.

    Args:
        body: events as `matih_schemas.event_batch` packs them.
        principal: who sends them.
        max_event_bytes: of one event.
        local: artifact locations may be on the server's own disk.

    Raises:
        Problem: 422, some can't be read, or name an artifact location that nobody may name here; 413, one is too
            large; 403, one is of a tenant that the principal may not write. `errors` name the events by their
            place, from 0.
    """
    _may_write_at_all(principal)
    events = _decoded(body, max_event_bytes)
    _check_rights(events, principal)
    _check_locations(events, local=local)
    return events


def stamped(
    events: Sequence[TrackingEvent],
    actor: str,
    more: Sequence[Header] = (),
    record_of: RecordOf = SINGLE_OBJECT.record,
) -> Batch:
    """The records of events that were checked, ready to be published.

    The same events give the same records, so that whoever heard no answer may send them again.

    Args:
        events: of one body.
        actor: who sends them; stands in each as `actor`, whatever stood there.
        more: further headers of each record.
        record_of: makes a record of an event and further headers, framed as the topic is.
    """
    batch = Batch()
    for event in events:
        record = record_of(*_stamped(event, actor, more))
        volume = batch.volumes.setdefault(event.tenant_id, Volume())
        volume.events += 1
        volume.bytes += len(record)
        batch.records.append(record)
    return batch


def _decoded(body: bytes, max_event_bytes: int) -> list[TrackingEvent]:
    events: list[TrackingEvent] = []
    errors: list[FieldError] = []
    try:
        for index, value in enumerate(unpack(body)):
            if len(value) > max_event_bytes:
                raise _too_large(index, len(value), max_event_bytes)
            try:
                events.append(_decode(value))
            except InvalidEvent as error:
                errors.append(_at(index, str(error)))
            if len(errors) == ERRORS_MAX:
                break  # a body of a million empty frames is told in twenty lines
    except MalformedBatch as error:
        errors.append(_at(error.index, error.detail))
    if errors:
        first = f"event {errors[0].loc[-1]} is no event that this takes: {errors[0].msg}"
        raise invalid(f"{first}; nothing of the batch was published", *errors)
    return events


def _decode(value: bytes) -> TrackingEvent:
    # One framing: a registry's schema ids mean nothing outside the place that the registry is for.
    if value[:2] != codec.SINGLE_OBJECT:
        raise InvalidEvent("malformed", f"it begins {value[:2].hex()!r}, Avro's single-object encoding with 'c301'")
    return codec.decode(value)


def _may_write_at_all(principal: Principal) -> None:
    if not principal.open and not _writable(principal):
        raise forbidden(
            f"{principal.actor} may not write for any tenant: to send events a credential needs the role writer"
        )


def _check_rights(events: Sequence[TrackingEvent], principal: Principal) -> None:
    refused = [(index, why) for index, event in enumerate(events) if (why := _refusal(event, principal)) is not None]
    if refused:
        index, why = refused[0]
        raise Problem(
            403,
            "forbidden",
            f"event {index} {why}; nothing of the batch was published",
            errors=[_at(index, why) for index, why in refused[:ERRORS_MAX]],
        )


def _check_locations(events: Sequence[TrackingEvent], *, local: bool) -> None:
    errors = []
    for index, event in enumerate(events):
        location = getattr(event.payload, "artifact_location", None)
        if location is not None and (why := shipped_problem(location, local=local)) is not None:
            errors.append(_at(index, f"its artifact location {why}"))
    if errors:
        told = f"event {errors[0].loc[-1]} can't be taken: {errors[0].msg}; nothing of the batch was published"
        raise invalid(told, *errors[:ERRORS_MAX])


def _refusal(event: TrackingEvent, principal: Principal) -> str | None:
    """Why the principal may not send the event; None if it may."""
    role = principal.role(event.tenant_id)
    if role is None or role < Role.WRITER:
        return f"is of tenant {event.tenant_id!r}, which {principal.actor} may not write: {_remedy(principal)}"
    if isinstance(event.payload, AdminAction) and role < Role.ADMIN:
        return f"is an AdminAction, for which {principal.actor} needs the role admin for tenant {event.tenant_id!r}"
    return None


def _remedy(principal: Principal) -> str:
    """Never a tenant in the event's place: where the data of a forgotten setting belongs, only its owner knows."""
    writable = _writable(principal)
    if len(writable) == 1:
        return f"set MATIH_TENANT={writable[0]} where the run is logged, or use another credential"
    return f"set MATIH_TENANT to one of {', '.join(writable[:ERRORS_MAX])} where the run is logged"


def _writable(principal: Principal) -> list[str]:
    return sorted(tenant for tenant, role in principal.grants.items() if role >= Role.WRITER)


def _stamped(event: TrackingEvent, actor: str, more: Sequence[Header]) -> tuple[TrackingEvent, list[Header]]:
    return replace(event, actor=actor), [(TENANT_CHECKED, event.tenant_id.encode()), *more]


def _too_large(index: int, size: int, max_bytes: int) -> Problem:
    detail = f"event {index} has {size} bytes, {max_bytes} are allowed: log less at once"
    return Problem(413, "event-too-large", f"{detail}; nothing of the batch was published", errors=[_at(index, detail)])


def _at(index: int, msg: str) -> FieldError:
    return FieldError(("body", "events", index), msg)
