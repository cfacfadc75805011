"""Certificates of erased payloads, as the log keeps them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_workers.audit.entries import Statement, statements
from matih_workers.audit.errors import Damaged
from matih_workers.audit.partition import PartitionId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

TYPE: Final = "erasure"
PLACES_MAX: Final = 700
"""Records in one certificate: an entry of the log has 65 535 bytes at most."""


class Certificate(NamedTuple):
    """One certificate, as people ask for it.

    Attributes:
        entry: its place in the log.
        partition: whose records they were.
        first, last: the least and the greatest of their offsets.
        records: how many.
        tenant, run_id: whose they were; None if they were not of one run alone, or it does not say.
        time: ms since the epoch.
    """

    entry: int
    partition: PartitionId
    first: int
    last: int
    records: int
    actor: str
    reason: str
    time: int
    tenant: str | None
    run_id: str | None

    @property
    def whose(self) -> str:
        """For people."""
        of = (self.run_id and f"run {self.run_id}", self.tenant and f"tenant {self.tenant}")
        return " of ".join(filter(None, of)) or "-"

    @property
    def where(self) -> str:
        """Partition and offsets, for people."""
        return f"{self.partition}: {self.first} to {self.last}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**self._asdict(), "partition": str(self.partition)}


def certificates(
    partition: PartitionId,
    places: Sequence[tuple[int, bytes]],
    actor: str,
    reason: str,
    time_ms: int,
    tenant: str | None = None,
    run_id: str | None = None,
) -> list[Statement]:
    """What the log says of records of a partition whose payload goes: who, why, when, and what stands there instead.

    Args:
        partition: whose they are.
        places: each one's offset, and the digest of its bytes as they will be.
        actor: who does it.
        reason: why.
        time_ms: when, in ms since the epoch.
        tenant: whose they all are.
        run_id: of which run, if they are all of one that was named.
    """
    head: dict[str, Any] = {**partition._asdict(), "actor": actor, "reason": reason, "time": time_ms}
    head |= {name: value for name, value in (("tenant", tenant), ("run", run_id)) if value}
    parts = [places[at : at + PLACES_MAX] for at in range(0, len(places), PLACES_MAX)]
    return [Statement(TYPE, head | {"places": [[offset, now.hex()] for offset, now in part]}) for part in parts]


def certificates_in(entries: Iterable[bytes]) -> Iterator[Certificate]:
    """Those among a log's entries, from its first on.

    Raises:
        Damaged: one can't be read.
    """
    for number, said in statements(entries):
        if said.type == TYPE:
            yield _certificate(number, said.body)


def _certificate(number: int, body: dict[str, Any]) -> Certificate:
    try:
        offsets = [int(offset) for offset, _ in body["places"]]
        where = PartitionId(body["cluster_id"], body["topic_id"], body["partition"])
        told = (str(body["actor"]), str(body["reason"]), int(body["time"]), body.get("tenant"), body.get("run"))
        return Certificate(number, where, min(offsets), max(offsets), len(offsets), *told)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"the certificate in entry {number} of the log can't be read: {error!r}") from error


class Erasures:
    """All certificates of a log."""

    def __init__(self) -> None:
        self._places: set[tuple[PartitionId, int, bytes]] = set()

    @classmethod
    def of(cls, statements: Iterable[Statement]) -> Erasures:
        """Those among the log's statements."""
        found = cls()
        for statement in statements:
            if statement.type == TYPE:
                body = statement.body
                partition = PartitionId(body["cluster_id"], body["topic_id"], body["partition"])
                found._places |= {(partition, offset, bytes.fromhex(now)) for offset, now in body["places"]}
        return found

    def allow(self, partition: PartitionId, offset: int, now: bytes) -> bool:
        """Whether one says that the record's bytes, by their digest, are what they are now."""
        return (partition, offset, now) in self._places
