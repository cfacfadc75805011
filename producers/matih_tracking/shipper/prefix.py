"""How far one journal is acknowledged without a gap, while acknowledgements come in any order. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matih_tracking.journal.cursor import Position

if TYPE_CHECKING:
    from matih_tracking.journal.reader import Batch


@dataclass(slots=True)
class Piece:
    """Entries up to a number, which one event carries.

    Attributes:
        upto: the number of the last one.
        done: Kafka has them.
    """

    upto: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class _Read:
    """Where the entries of a batch end; the entries themselves are not kept."""

    segment: int
    first: int
    ends: list[int]


class Prefix:
    """The acknowledged prefix, and what was read beyond it.

    Attributes:
        acked: the position behind the last entry of the prefix.
    """

    def __init__(self, acked: Position) -> None:
        self.acked = acked
        self._reads: deque[_Read] = deque()
        self._pieces: deque[Piece] = deque()

    @property
    def is_complete(self) -> bool:
        """Whether everything that was read and handed over is acknowledged."""
        return not self._reads and not self._pieces

    def read(self, batch: Batch) -> None:
        """Notes what was read, in order."""
        if batch.ends:
            self._reads.append(_Read(batch.start.segment, batch.start.number, batch.ends))

    def hand_over(self, upto: int) -> Piece:
        """The next piece on its way: what was read, behind the piece before it, up to this number."""
        piece = Piece(upto)
        self._pieces.append(piece)
        return piece

    def advance(self) -> bool:
        """Moves `acked` over the pieces that are done; returns whether it moved."""
        upto = self.acked.number - 1
        while self._pieces and self._pieces[0].done:
            upto = max(upto, self._pieces.popleft().upto)
        if upto < self.acked.number:
            return False
        self.acked = self._behind(upto)
        return True

    def _behind(self, number: int) -> Position:
        """The position behind an entry that was read; forgets the batches that lie before it."""
        while True:
            read = self._reads[0]
            behind = read.first + len(read.ends)
            if number >= behind - 1:
                self._reads.popleft()
            if number < behind:
                return Position(read.segment, read.ends[number - read.first], number + 1)
