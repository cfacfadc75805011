"""What the log says in all: how far each partition is archived, and what the topics were called. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matih_workers.audit.entries import RECORD, RECORD_TAIL_BYTES, Entry, GapEntry, RecordEntry, Statement, decode
from matih_workers.audit.partition import PartitionId

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class LogState:
    """All that one who goes on has to know of the log's entries.

    Attributes:
        ends: by partition the offset of the next record; what is before it is in the archive, or told as a gap.
        topics: by cluster and topic id the name.
    """

    ends: dict[PartitionId, int] = field(default_factory=dict)
    topics: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, entries: Iterable[bytes]) -> None:
        """Takes the log's next entries.

        Raises:
            Damaged: one is none.
        """
        last = b""
        for encoded in entries:
            # Of a partition's records that stand together only the last says something.
            if last and (encoded[0] != RECORD or encoded[:-RECORD_TAIL_BYTES] != last[:-RECORD_TAIL_BYTES]):
                self._take_one(decode(last))
            last = encoded
        if last:
            self._take_one(decode(last))

    def _take_one(self, entry: Entry) -> None:
        if isinstance(entry, RecordEntry):
            self.ends[entry.partition] = entry.offset + 1
        elif isinstance(entry, GapEntry):
            self.ends[entry.partition] = entry.end
        elif entry.type == "topic":
            self.topics[entry.body["cluster_id"], entry.body["topic_id"]] = entry.body["name"]

    def as_json(self) -> dict[str, Any]:
        """The form in which it is kept."""
        return {
            "ends": [[*partition, end] for partition, end in sorted(self.ends.items())],
            "topics": [[*ids, name] for ids, name in sorted(self.topics.items())],
        }


def topic_statement(cluster_id: str, topic_id: str, name: str) -> Statement:
    """What a topic is called, told once in the log."""
    return Statement("topic", {"cluster_id": cluster_id, "topic_id": topic_id, "name": name})


def from_json(kept: dict[str, Any]) -> LogState:
    """The state of what `as_json` gave.

    Raises:
        KeyError, TypeError, ValueError: it is not of that form.
    """
    ends = {
        PartitionId(str(cluster), str(topic), int(number)): int(end) for cluster, topic, number, end in kept["ends"]
    }
    return LogState(ends, {(str(cluster), str(topic)): str(name) for cluster, topic, name in kept["topics"]})


def cached(data: bytes | None) -> tuple[int, bytes, LogState] | None:
    """The size, the root and the state that `cache` wrote; None if it is nothing of that form."""
    try:
        kept = json.loads(data or b"")
        return int(kept["size"]), bytes.fromhex(kept["root"]), from_json(kept)
    except (ValueError, KeyError, TypeError):
        return None


def cache(size: int, root: bytes, state: LogState) -> bytes:
    """The state at a size of the log, to be read faster than the log itself; it proves nothing."""
    return json.dumps({"size": size, "root": root.hex(), **state.as_json()}, separators=(",", ":")).encode()
