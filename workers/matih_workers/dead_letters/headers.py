"""The headers of dead letters and of redriven records: what each is called, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Headers = tuple[tuple[str, bytes], ...]

CONNECT: Final = "__connect.errors."
"""What Kafka Connect's names begin with, which tools for dead letters know (KIP-298)."""
TOPIC: Final = f"{CONNECT}topic"
PARTITION: Final = f"{CONNECT}partition"
OFFSET: Final = f"{CONNECT}offset"
MESSAGE: Final = f"{CONNECT}exception.message"

REASON: Final = "matih.reason"
ATTEMPTS: Final = "matih.attempts"
FIRST_FAILED_AT: Final = "matih.first_failed_at"
NULL: Final = "matih.null"
"""Names the parts of the record, key or value, that were null: the dead letter has them empty."""
VALUE_LEFT_OUT: Final = "matih.value_left_out"
"""The bytes of a value that was too large for the topic of dead letters."""

REDRIVEN: Final = "matih.redriven"
"""On a record of the events topic: how often it was redriven. It stays if the record becomes a dead letter again."""
REDRIVEN_FROM: Final = "matih.redriven_from"
"""Where the record stood when it came for the first time: `topic/partition@offset`."""
RECEIVED_AT: Final = "matih.received_at"
"""When Kafka received the record for the first time, in ms since the epoch: the events topic stamps it anew."""

SETTLED: Final = "matih.settled"
"""On a record of the dead-letter topic that is no letter but says what became of one: `redriven` or `purged`."""
LETTER: Final = "matih.letter"
"""Which letter that is: `partition@offset`."""
SETTLED_BY: Final = "matih.settled_by"

_OF_LETTERS: Final = frozenset({REASON, ATTEMPTS, FIRST_FAILED_AT, NULL, VALUE_LEFT_OUT})


def text(headers: Iterable[tuple[str, bytes]], name: str) -> str | None:
    """The header's text, None if there is none; of several of one name the last."""
    values = [value for key, value in headers if key == name]
    return values[-1].decode("utf-8", "replace") if values else None


def number(headers: Iterable[tuple[str, bytes]], name: str) -> int | None:
    """The header's number, None if there is none."""
    found = text(headers, name)
    return int(found) if found is not None and found.lstrip("-").isdecimal() else None


def without_letters_own(headers: Iterable[tuple[str, bytes]]) -> Headers:
    """The headers that the record came with: without those that say why it is a dead letter."""
    return tuple((key, value) for key, value in headers if not key.startswith(CONNECT) and key not in _OF_LETTERS)


def replaced(headers: Iterable[tuple[str, bytes]], new: dict[str, str]) -> Headers:
    """The headers with these set."""
    kept = [(key, value) for key, value in headers if key not in new]
    return (*kept, *((name, value.encode()) for name, value in new.items()))
