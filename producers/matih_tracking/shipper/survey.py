"""What lies in a spool, and how much of it is on Kafka: for those who report it, or wait for it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from matih_tracking.journal import listing
from matih_tracking.journal.cursor import Cursor
from matih_tracking.journal.errors import JournalUnreadable
from matih_tracking.shipper.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Life = Literal["open", "ended", "dead", "unreadable"]


@dataclass(frozen=True)
class Found:
    """One journal at one moment.

    Attributes:
        life: `open` (its writer lives), `ended` (it said so), `dead` (it did not), or `unreadable`.
        entries: how many were written.
        acked: how many of them are on Kafka.
        size: bytes on disk.
        reason: why it is unreadable.
    """

    path: Path
    life: Life
    run_id: str = ""
    producer_id: str = ""
    created_ms: int = 0
    entries: int = 0
    acked: int = 0
    size: int = 0
    reason: str = ""

    @property
    def lag(self) -> int:
        """Entries that are not on Kafka."""
        return self.entries - self.acked


def survey(spools: Iterable[Path], spool_key: str | None) -> list[Found]:
    """All journals of the spools. Reads what is not delivered yet, to count it."""
    found = (_look(path, spool_key) for spool in spools for path in listing.journals(spool))
    return [journal for journal in found if journal is not None]


def _look(path: Path, spool_key: str | None) -> Found | None:
    try:
        size = sum(file.stat().st_size for file in path.iterdir())
        with closing(Tail(path, spool_key)) as tail:
            acked = tail.prefix.acked.number
            tail.look_for_owner()
            tail.read_to_end()
            header = tail.header
            return Found(
                path,
                _life(tail),
                header.run_id,
                header.producer_id,
                header.created_ms,
                tail.next_number,
                acked,
                size,
            )
    except JournalUnreadable as error:
        return Found(path, "unreadable", reason=str(error))
    except FileNotFoundError:
        return None  # delivered and removed meanwhile


def _life(tail: Tail) -> Life:
    if not tail.ended:
        return "open"
    if not tail.needs_end():
        return "ended"
    return "dead" if tail.owner_gone else "open"


class Goal:
    """What was in some journals at one moment: reached when all of it is on Kafka, the ends of the dead too."""

    def __init__(self, journals: Sequence[Found]) -> None:
        self.journals = journals
        self.entries = sum(journal.lag for journal in journals)

    @property
    def unreadable(self) -> list[Found]:
        """The journals that nobody can deliver as they are."""
        return [journal for journal in self.journals if journal.life == "unreadable"]

    def left(self) -> int:
        """How many of the entries are not on Kafka yet. Cheap: fit for polling."""
        return sum(max(0, journal.entries - _acked(journal.path)) for journal in self._readable())

    def is_reached(self) -> bool:
        """Whether all that can be delivered is."""
        return not self.left() and not any(
            journal.path.exists() for journal in self._readable() if journal.life == "dead"
        )

    def _readable(self) -> list[Found]:
        return [journal for journal in self.journals if journal.life != "unreadable" and journal.path.exists()]


def _acked(path: Path) -> int:
    try:
        with closing(Cursor(path)) as cursor:
            return cursor.acked
    except FileNotFoundError:  # removed since we looked: all of it is on Kafka
        return 1 << 63
