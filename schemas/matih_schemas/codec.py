"""Events to bytes and back: Avro, framed as the topic says."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, Final

from fastavro import schemaless_reader, schemaless_writer

from matih_schemas import schema
from matih_schemas.errors import InvalidEvent, InvalidName, NewerSchema
from matih_schemas.events import PAYLOADS, AdminAction, EntryGroup, MetricContext, Pair, RunLogged, TrackingEvent
from matih_schemas.identity import ADMIN, check_tenant, record_key

SINGLE_OBJECT: Final = b"\xc3\x01"
"""Avro single-object encoding's marker; the writer schema's CRC-64-AVRO fingerprint (8 bytes) follows."""
CONFLUENT: Final = b"\x00"
"""Confluent wire format's marker; the registry's schema id (4 bytes, big endian) follows."""

CONTENT_TYPE: Final = "application/avro"
DATA_SCHEMA: Final = "ce_dataschema"
"""The header that says a Confluent value's schema by its fingerprint: CloudEvents' `dataschema`, a URI."""
_FINGERPRINT_URN: Final = "urn:avro:crc-64-avro:"

FingerprintOf = Callable[[int], bytes]
"""Gives the fingerprint (`schema.rabin`) of a registry's schema id; raises `NewerSchema` if nobody knows the id."""

Headers = Iterable[tuple[str, bytes]]
Reframe = Callable[[bytes, Headers], bytes]
"""Gives a record's value, with its headers, in single-object encoding; see `as_single_object`."""

_BY_NAME: Final = {f"{schema.NAMESPACE}.{payload.__name__}": payload for payload in PAYLOADS}
_BRANCH: Final = {payload: name for name, payload in _BY_NAME.items()}
# What fastavro raises on bytes that are no record of the schema.
_UNREADABLE: Final = (EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, struct.error)


def encode(event: TrackingEvent, schema_id: int | None = None) -> bytes:
    """The record's value: single-object encoding, or with a registry's schema id Confluent's wire format.

    Raises:
        InvalidEvent: a field has a value that its schema has no place for.
    """
    out = io.BytesIO()
    out.write(_own_header() if schema_id is None else CONFLUENT + struct.pack(">I", schema_id))
    try:
        schemaless_writer(out, schema.current(), to_record(event))
    except (ValueError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise InvalidEvent("malformed", f"event {event.event_id} ({event.kind}) can't be encoded: {error}") from error
    return out.getvalue()


def decode(value: bytes) -> TrackingEvent:
    """The event in a record's value, of any released schema; in Confluent's framing see `as_single_object` first.

    Raises:
        NewerSchema: its schema is not known here.
        InvalidEvent: the bytes are no event, or one that contradicts itself.
    """
    writer, start = _writer_schema(value)
    source = io.BytesIO(value)
    source.seek(start)
    try:
        record = schemaless_reader(source, writer, schema.current(), return_record_name=True)
        event = from_record(record)
    except _UNREADABLE as error:
        raise InvalidEvent("malformed", f"{len(value)} bytes are no event: {type(error).__name__}: {error}") from error
    if source.tell() != len(value):
        raise InvalidEvent("malformed", f"{len(value) - source.tell()} bytes behind the end of event {event.event_id}")
    _check(event)
    return event


def event_key(event: TrackingEvent) -> bytes:
    """The record's key: `tenant/run_id`, `tenant/experiment_id` or `tenant/admin`."""
    payload = event.payload
    if isinstance(payload, AdminAction):
        return record_key(event.tenant_id, ADMIN)
    return record_key(event.tenant_id, getattr(payload, "run_id", None) or payload.experiment_id)  # type: ignore[union-attr]


def headers(event: TrackingEvent) -> list[tuple[str, bytes]]:
    """The record's headers: CloudEvents' binary mode for Kafka (its Kafka Protocol Binding, version 1.0)."""
    values = {
        "ce_specversion": "1.0",
        "ce_id": event.event_id,
        "ce_type": f"{schema.NAMESPACE}.{event.kind}",
        "ce_source": f"/{event.tenant_id}/{event.host}",
        "ce_time": _rfc3339(event.occurred_at),
        "content-type": CONTENT_TYPE,
    }
    return [(name, value.encode()) for name, value in values.items()]


def _rfc3339(ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _own_header() -> bytes:
    return SINGLE_OBJECT + schema.rabin(schema.current())


def as_single_object(value: bytes, headers: Headers = (), fingerprint_of: FingerprintOf | None = None) -> bytes:
    """The same value in single-object encoding, which is all that `decode` knows; one that is so stays as it is.

    Args:
        value: a record's.
        headers: the record's. Where they say the schema, as our own producers' do, no registry is asked.
        fingerprint_of: knows a registry's ids.

    Raises:
        NewerSchema: nobody knows the schema of its id.
    """
    if value[:1] != CONFLUENT or len(value) < 5:
        return value
    fingerprint = _told(headers)
    if fingerprint is None:
        schema_id: int = struct.unpack(">I", value[1:5])[0]
        if fingerprint_of is None:
            raise NewerSchema(
                f"schema id {schema_id} of a registry, not known here: set SCHEMA_REGISTRY_URL for this reader to one "
                "that has it, then redrive"
            )
        fingerprint = fingerprint_of(schema_id)
    return SINGLE_OBJECT + fingerprint + value[5:]


def data_schema() -> tuple[str, bytes]:
    """The header that goes with a value in Confluent's framing."""
    return DATA_SCHEMA, (_FINGERPRINT_URN + schema.rabin(schema.current()).hex()).encode()


def _told(headers: Headers) -> bytes | None:
    """The fingerprint in a record's headers; None if there is none."""
    told = (dict(headers).get(DATA_SCHEMA) or b"").decode("ascii", "replace")
    digits = told.removeprefix(_FINGERPRINT_URN)
    return bytes.fromhex(digits) if told != digits and re.fullmatch("[0-9a-f]{16}", digits) else None


def _writer_schema(value: bytes) -> tuple[schema.Schema, int]:
    """The schema the value was written with, and where its body begins."""
    if value[:2] == SINGLE_OBJECT and len(value) >= 10:
        known = schema.known().get(value[2:10])
        if known is None:
            raise NewerSchema(f"schema with fingerprint {value[2:10].hex()}: upgrade this reader, then redrive")
        return known, 10
    as_single_object(value)  # says what is to be done about Confluent's framing
    raise InvalidEvent("malformed", f"{len(value)} bytes beginning {value[:8].hex()!r}: neither of the two framings")


def _plain(item: Any) -> Any:
    """Dataclasses as dicts, one level into their lists: what fastavro writes."""
    if is_dataclass(item) and not isinstance(item, type):
        return {name: _plain(getattr(item, name)) for name in _field_names(item.__class__)}
    if isinstance(item, list) and item and is_dataclass(item[0]):
        return [_plain(part) for part in item]
    return item


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(part.name for part in fields(kind))


def to_record(event: TrackingEvent) -> dict[str, Any]:
    """The event as plain values; the payload as (branch's full name, its fields), as fastavro writes a union."""
    record = {name: getattr(event, name) for name in _field_names(TrackingEvent)}
    record["payload"] = (_BRANCH[type(event.payload)], _plain(event.payload))
    return record


def from_record(record: Any) -> TrackingEvent:
    """The event of what `to_record` gives.

    Raises:
        KeyError, TypeError: it is not of that form.
    """
    name, body = record["payload"]
    kind = _BY_NAME[name]
    if kind is RunLogged:
        body["groups"] = [_group(group) for group in body["groups"]]
    return TrackingEvent(**{**record, "payload": kind(**body)})


def _group(body: dict[str, Any]) -> EntryGroup:
    for name, kind in (("params", Pair), ("tags", Pair), ("contexts", MetricContext)):
        if body[name]:
            body[name] = [kind(**item) for item in body[name]]
    return EntryGroup(**body)


def _check(event: TrackingEvent) -> None:
    """What the schema can't say: a valid tenant, and groups whose columns fit together."""
    try:
        check_tenant(event.tenant_id)
    except InvalidName as error:
        raise InvalidEvent("invalid_tenant", str(error)) from error
    if isinstance(event.payload, RunLogged):
        for group in event.payload.groups:
            _check_group(group)


def _check_group(group: EntryGroup) -> None:
    entries = len(group.shape)
    where = f"entries {group.first_sequence} to {group.last_sequence} of producer {group.producer_id}"
    if not entries == len(group.time) == len(group.step):
        raise InvalidEvent("malformed", f"{where}: {entries} shapes, {len(group.time)} times, {len(group.step)} steps")
    if entries and not 0 <= min(group.shape) <= max(group.shape) < len(group.shapes):
        raise InvalidEvent("malformed", f"{where}: an index of a shape that is not there")
    widths = [len(keys) for keys in group.shapes]
    wanted = sum(widths[index] for index in group.shape)
    if wanted != len(group.value):
        raise InvalidEvent("malformed", f"{where}: {len(group.value)} values for {wanted} metrics")
    if any(not 0 <= item.entry < entries for items in (group.params, group.tags, group.contexts) for item in items):
        raise InvalidEvent("malformed", f"{where}: a param, tag or context of an entry that is not there")
