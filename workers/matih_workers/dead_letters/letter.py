"""A dead letter as it stands in its topic: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_kafka.publisher import Record
from matih_schemas.errors import MatihError
from matih_workers.dead_letters import headers

if TYPE_CHECKING:
    from collections.abc import Iterable

DETAIL_MAX: Final = 500
UNKNOWN: Final = "?"


class InvalidId(MatihError):
    """Not the id of a dead letter."""


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """The place in a text of that form, None if it has another one."""
        topic, slash, rest = text.rpartition("/")
        partition, at, offset = rest.partition("@")
        right = slash and at and partition.isdecimal() and offset.isdecimal()
        return cls(topic, int(partition), int(offset)) if right else None


class LetterId(NamedTuple):
    """How people name a letter: `partition@offset` in the topic of dead letters."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"

    @classmethod
    def parse(cls, text: str) -> LetterId:
        """The id in a text.

        Raises:
            InvalidId: it is none.
        """
        partition, at, offset = text.partition("@")
        if not (at and partition.isdecimal() and offset.isdecimal()):
            raise InvalidId(f"{text!r} is no dead letter's id: it is PARTITION@OFFSET, as `matih dlq list` prints it")
        return cls(int(partition), int(offset))


@dataclass(frozen=True)
class Letter:
    """What is known of a dead letter without its value.

    Attributes:
        subject: the run's or experiment's id.
        detail: why, in words; cut.
        failed_at: when it failed for the first time, in ms since the epoch.
        received_at: when Kafka received the record for the first time, in ms since the epoch.
        place: where the record stood in the events topic when it failed.
        origin: where it stood when it came for the first time.
        size: the value's bytes.
        value_left_out: the topic of dead letters could not take the value: it stands at `place` only.
    """

    id: LetterId
    tenant_id: str
    subject: str
    reason: str
    detail: str
    attempts: int
    failed_at: int
    received_at: int
    place: Place
    origin: Place
    redriven: int
    size: int
    value_left_out: bool

    @property
    def identity(self) -> tuple[Place, int, str]:
        """Tells the record from any other one, also from one at the same offset of a topic made anew."""
        return self.place, self.received_at, self.subject


def letter(record: Any) -> Letter:
    """The letter in a record of the topic of dead letters (an aiokafka ConsumerRecord)."""
    found = tuple(record.headers)
    tenant, slash, subject = (record.key or b"").decode("utf-8", "replace").partition("/")
    left_out = headers.number(found, headers.VALUE_LEFT_OUT)
    place = Place(
        headers.text(found, headers.TOPIC) or UNKNOWN,
        _number(found, headers.PARTITION, -1),
        _number(found, headers.OFFSET, -1),
    )
    return Letter(
        id=LetterId(record.partition, record.offset),
        tenant_id=tenant if slash else UNKNOWN,
        subject=subject if slash else UNKNOWN,
        reason=headers.text(found, headers.REASON) or UNKNOWN,
        detail=(headers.text(found, headers.MESSAGE) or "")[:DETAIL_MAX],
        attempts=_number(found, headers.ATTEMPTS, 1),
        failed_at=_number(found, headers.FIRST_FAILED_AT, record.timestamp),
        received_at=record.timestamp,
        place=place,
        origin=Place.parse(headers.text(found, headers.REDRIVEN_FROM) or "") or place,
        redriven=_number(found, headers.REDRIVEN, 0),
        size=len(record.value or b"") if left_out is None else left_out,
        value_left_out=left_out is not None,
    )


def redriven_record(of: Letter, key: bytes, value: bytes, found: Iterable[tuple[str, bytes]]) -> Record:
    """What goes to the events topic again: key and value as they came, and headers that say where it comes from.

    Args:
        of: the letter.
        key: the record's.
        value: the record's, whole.
        found: the letter's headers.
    """
    carried = {
        headers.REDRIVEN: str(of.redriven + 1),
        headers.REDRIVEN_FROM: str(of.origin),
        headers.RECEIVED_AT: str(of.received_at),
        headers.ATTEMPTS: str(of.attempts),
        headers.FIRST_FAILED_AT: str(of.failed_at),
    }
    return Record(key, value, headers.replaced(headers.without_letters_own(found), carried))


def _number(found: headers.Headers, name: str, default: int) -> int:
    known = headers.number(found, name)
    return default if known is None else known
