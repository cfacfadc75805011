"""What a replay sees of its ingest: counts, and what was refused. It makes no dead letters and raises no alerts."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from matih_console.output import note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from matih_workers.dead_letters import DeadLetter
    from matih_workers.positions import Noticed
    from matih_workers.records import Received

LISTED_MAX: Final = 1000


class Refusals:
    """What could not be applied, in the place of dead letters: counted by reason, the first ones listed."""

    def __init__(self) -> None:
        self.by_reason: Counter[str] = Counter()
        self.listed: list[dict[str, Any]] = []

    async def publish(self, letters: Sequence[DeadLetter]) -> None:
        """Takes them; see `Letters`."""
        self.by_reason.update(letter.reason for letter in letters)
        room = LISTED_MAX - len(self.listed)
        self.listed += [_row(letter) for letter in letters[:room]]


class NoNotes:
    """`Notes` that nobody keeps: a replay that was killed is started by a person, who sees what happens."""

    def deaths(self, _record: Received) -> int:
        """None."""
        return 0

    def noted(self, _records: Sequence[Received]) -> AbstractContextManager[Any]:
        """Keeps nothing."""
        return nullcontext()

    def settled(self, _records: Sequence[Received]) -> None:
        """Nothing to forget."""


class Watch:
    """Counts what was applied; tells the person at the terminal of an outage, once."""

    def __init__(self) -> None:
        self.events = 0
        self.points = 0
        self.retries = 0
        self._down = False

    def in_flight(self, _events: int) -> AbstractContextManager[Any]:
        """Nobody asks."""
        return nullcontext()

    def applied(self, events: int, points: int, _seconds: float) -> None:
        """Counts them; see `Watcher`."""
        self.events += events
        self.points += points

    def took(self, _records: Sequence[Received], _points: int, _now_ms: int) -> None:
        """Counted already."""

    def dead(self, _letters: Sequence[DeadLetter], _of: int = 1) -> None:
        """`Refusals` has them."""

    def retried(self) -> None:
        """Counts it; see `Watcher`."""
        self.retries += 1

    def store_works(self) -> None:
        """Says so, if it did not."""
        if self._down:
            note("the store is back")
        self._down = False

    def store_fails(self, message: str, what: str = "the store") -> None:
        """Says so, once."""
        if not self._down:
            note(f"{what} is unavailable, trying on (Ctrl-C and the same command later goes on too): {message}")
        self._down = True

    def noticed(self, _noticed: Noticed) -> None:
        """The worker tells of positions."""


def _row(letter: DeadLetter) -> dict[str, Any]:
    record = letter.record
    key = (record.key or b"").decode("utf-8", "replace")
    return {"record": str(record), "key": key, "reason": letter.reason, "detail": letter.why.detail}
