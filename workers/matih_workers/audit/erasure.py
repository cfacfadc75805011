"""Certificates of erased payloads, as the log keeps them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matih_workers.audit.entries import Statement
from matih_workers.audit.partition import PartitionId

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TYPE: Final = "erasure"
PLACES_MAX: Final = 700
"""Records in one certificate: an entry of the log has 65 535 bytes at most."""


def certificates(
    partition: PartitionId, places: Sequence[tuple[int, bytes]], actor: str, reason: str, time_ms: int
) -> list[Statement]:
    """What the log says of records of a partition whose payload goes: who, why, when, and what stands there instead.

    Args:
        partition: whose they are.
        places: each one's offset, and the digest of its bytes as they will be.
        actor: who does it.
        reason: why.
        time_ms: when, in ms since the epoch.
    """
    head: dict[str, Any] = {**partition._asdict(), "actor": actor, "reason": reason, "time": time_ms}
    parts = [places[at : at + PLACES_MAX] for at in range(0, len(places), PLACES_MAX)]
    return [Statement(TYPE, head | {"places": [[offset, now.hex()] for offset, now in part]}) for part in parts]


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
