"""Several events as one body of HTTP: what a shipper sends to the event gateway.

Each event in its single-object Avro encoding, preceded by its length in bytes (4, unsigned, big endian); nothing
before, between or behind them. The whole may be compressed (`Content-Encoding`).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONTENT_TYPE: Final = "application/vnd.matih.events.v1"
PATH: Final = "/api/v1/events"
BATCH_MAX_BYTES: Final = 1 << 20
"""Bytes of a body, before it is compressed."""
EVENT_MAX_BYTES: Final = 900_000
"""Bytes of one event that a gateway takes; what the SDK makes is smaller (`limits.EVENT_MAX_BYTES`)."""

_LENGTH: Final = struct.Struct(">I")
FRAME_BYTES: Final = _LENGTH.size
"""What an event's frame adds to it."""


class MalformedBatch(MatihError):
    """The body does not end where an event ends.

    Attributes:
        index: the event that can't be read; those before it can.
    """

    def __init__(self, index: int, detail: str) -> None:
        super().__init__(f"event {index}: {detail}")
        self.index = index
        self.detail = detail


def pack(events: Iterable[bytes]) -> bytes:
    """The body of the events, in their order."""
    return b"".join(part for event in events for part in (_LENGTH.pack(len(event)), event))


def unpack(body: bytes) -> Iterator[bytes]:
    """The events of a body, in their order.

    Raises:
        MalformedBatch: the body ends within a length or an event.
    """
    index = at = 0
    while at < len(body):
        start = at + FRAME_BYTES
        if start > len(body):
            raise MalformedBatch(
                index, f"{len(body) - at} bytes are left where its length, {FRAME_BYTES} bytes, begins"
            )
        (length,) = _LENGTH.unpack_from(body, at)
        if start + length > len(body):
            raise MalformedBatch(index, f"its length says {length} bytes, {len(body) - start} are left")
        yield body[start : start + length]
        index, at = index + 1, start + length
