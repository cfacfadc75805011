"""What the ingest needs around it: where dead letters go, what is kept of attempts, and who watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from matih_workers.dead_letters import DeadLetter
    from matih_workers.positions import Noticed
    from matih_workers.records import Received


class Letters(Protocol):
    """Where that goes which can't be applied."""

    async def publish(self, letters: Sequence[DeadLetter]) -> None:
        """Returns once all of them are safe."""


class Notes(Protocol):
    """What is kept of attempts across the deaths of processes."""

    def deaths(self, record: Received) -> int:
        """How many processes died over this record, alone or with others."""

    def noted(self, records: Sequence[Received]) -> AbstractContextManager[Any]:
        """Keeps a note while the records are applied."""

    def settled(self, records: Sequence[Received]) -> None:
        """These are done."""


class Watcher(Protocol):
    """Who is told what happens. Called in the event loop; must not block."""

    def in_flight(self, events: int) -> AbstractContextManager[Any]:
        """So many are being applied in the block."""

    def applied(self, events: int, points: int, seconds: float) -> None:
        """A batch is durable."""

    def took(self, records: Sequence[Received], points: int, now_ms: int) -> None:
        """These were applied; `now_ms` is in ms since the epoch."""

    def dead(self, letters: Sequence[DeadLetter], of: int = 1) -> None:
        """These were refused, of so many events."""

    def retried(self) -> None:
        """A batch is tried again."""

    def store_works(self) -> None:
        """The store took or answered something."""

    def store_fails(self, message: str, what: str = ...) -> None:
        """The store is unavailable, or something else on the way to it."""

    def noticed(self, noticed: Noticed) -> None:
        """What the store says of the partitions' positions."""
