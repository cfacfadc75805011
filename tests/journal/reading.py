"""Reads whole journals, checking on the way what holds for every batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matih_tracking.journal.cursor import START, Position
from matih_tracking.journal.errors import JournalUnreadable
from matih_tracking.journal.reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.journal.reader import Batch


class Found(NamedTuple):
    """What a journal held, and how reading it ended."""

    payloads: list[bytes]
    last: Batch | None
    error: JournalUnreadable | None


def read_all(
    journal: Path, position: Position = START, *, owner_gone: bool = False, limit_bytes: int = 1 << 20
) -> Found:
    """Reads until nothing more comes, or the reader refuses to go on."""
    payloads: list[bytes] = []
    try:
        reader = JournalReader(journal, position)
    except JournalUnreadable as error:
        return Found(payloads, None, error)
    try:
        return read_on(reader, payloads, owner_gone=owner_gone, limit_bytes=limit_bytes)
    finally:
        reader.close()


def read_on(
    reader: JournalReader, payloads: list[bytes], *, owner_gone: bool = False, limit_bytes: int = 1 << 20
) -> Found:
    """Adds what an open reader still finds to `payloads`."""
    first = reader.position.number
    while True:
        try:
            batch = reader.read(limit_bytes, owner_gone=owner_gone)
        except JournalUnreadable as error:
            return Found(payloads, None, error)
        assert batch.start.number == first
        assert len(batch.ends) == len(batch.payloads)
        first += len(batch.payloads)
        assert batch.after.number == reader.position.number == first
        payloads.extend(batch.payloads)
        if not batch.payloads:
            return Found(payloads, batch, None)
