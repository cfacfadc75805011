"""Which dead letters are open: the topic holds letters, and notes of what became of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from matih_kafka.publisher import Record
from matih_workers.dead_letters import headers
from matih_workers.dead_letters.letter import InvalidId, Letter, LetterId, Place, letter

if TYPE_CHECKING:
    from collections.abc import Iterable

Outcome = Literal["redriven", "purged"]
Identity = tuple[Place, int, str]
BEYOND_REPAIR: Final = frozenset({"malformed", "key_mismatch", "invalid_tenant", "tenant_mismatch"})
"""Reasons that another try can't change: such letters are redriven only if their reason, or they, are named."""


class Selection(NamedTuple):
    """Which letters are meant; what is empty or None does not restrict.

    Attributes:
        since, until: bounds on when a letter failed for the first time, in ms since the epoch.
    """

    ids: frozenset[LetterId] = frozenset()
    tenants: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None

    def holds(self, one: Letter) -> bool:
        """Whether this letter is meant."""
        return (
            (not self.ids or one.id in self.ids)
            and (not self.tenants or one.tenant_id in self.tenants)
            and (not self.runs or one.subject in self.runs)
            and (not self.reasons or one.reason in self.reasons)
            and (self.since is None or one.failed_at >= self.since)
            and (self.until is None or one.failed_at < self.until)
        )

    def names(self, one: Letter) -> bool:
        """Whether this letter is meant by itself or by its reason."""
        return one.id in self.ids or one.reason in self.reasons


@dataclass
class Register:
    """The open letters of one topic, from its records in their order.

    A worker that is killed between publishing a letter and committing its offset publishes it again: letters of one
    record are one letter, and settled together.

    Attributes:
        settled: letters that were redriven or purged.
    """

    _open: dict[Identity, Letter] = field(default_factory=dict)
    _identities: dict[LetterId, Identity] = field(default_factory=dict)
    _done: set[Identity] = field(default_factory=set)
    settled: int = 0

    def add(self, record: Any) -> None:
        """Takes the next record of its partition."""
        outcome = headers.text(record.headers, headers.SETTLED)
        if outcome is None:
            self._letter(letter(record))
        else:
            self._settle(headers.text(record.headers, headers.LETTER) or "")

    def open(self, selection: Selection = Selection()) -> list[Letter]:  # noqa: B008  # it is immutable
        """The open letters that are meant, in the order in which their records came first, by partition."""
        found = [one for one in self._open.values() if selection.holds(one)]
        return sorted(found, key=lambda one: (one.id.partition, one.origin, one.id))

    def free_until(self, ends: dict[int, int]) -> dict[int, int]:
        """Per partition the offset before which no letter is open, of partitions that have any record there.

        Args:
            ends: the partitions' ends.
        """
        first = dict(ends)
        for one in self._open.values():
            first[one.id.partition] = min(first.get(one.id.partition, one.id.offset), one.id.offset)
        return first

    def _letter(self, one: Letter) -> None:
        if one.identity in self._done or one.identity in self._open:
            return
        self._open[one.identity] = one
        self._identities[one.id] = one.identity

    def _settle(self, text: str) -> None:
        try:
            identity = self._identities.pop(LetterId.parse(text), None)
        except InvalidId:  # a note of another release: the letter stays open
            return
        if identity is not None:
            del self._open[identity]
            self._done.add(identity)
            self.settled += 1


def settlement(one: Letter, key: bytes, outcome: Outcome, by: str) -> Record:
    """The note that says what became of a letter. It has the letter's key, so it stands in its partition, behind it."""
    said = {headers.SETTLED: outcome, headers.LETTER: str(one.id), headers.SETTLED_BY: by}
    return Record(key, b"", headers.replaced((), said))


def worth_redriving(letters: Iterable[Letter], selection: Selection) -> tuple[list[Letter], list[Letter]]:
    """The letters that a redrive may mend, and those that it can't and that were not named."""
    mendable: list[Letter] = []
    others: list[Letter] = []
    for one in letters:
        lost = one.reason in BEYOND_REPAIR and not selection.names(one)
        (others if lost else mendable).append(one)
    return mendable, others
