"""Whether archived events are in MLflow, as far as anybody knows.

A store notes with its data how far each partition was applied, which offsets before that were not, and a few marks of
when (`matih_workers.positions`): so it tells whether a worker has taken an event, after which moment and by which one.
What a worker has taken is applied, or a dead letter.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from matih_kafka.errors import InvalidSettings
from matih_workers.positions import Source
from matih_workers.settings import make_store, worker_settings
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matih_workers.audit.partition import PartitionId
    from matih_workers.position_times import Window
    from matih_workers.positions import Position

NAMED_BY: Final = ("MATIH_STORE_URI", "MATIH_STORE_URI_FILE", "MLFLOW_TRACKING_URI")
KNOWN: Final = (
    "as the store's positions tell: a worker has taken it (applied, or a dead letter); the newest to the batch, "
    "older ones within a wider window"
)
NO_STORE: Final = "nobody was asked: set MATIH_STORE_URI to the store's address"


class Applied(NamedTuple):
    """What a store says; `why` tells for people where that comes from, or why there is nothing."""

    positions: Mapping[PartitionId, Position]
    why: str

    def is_applied(self, partition: PartitionId, offset: int) -> bool | None:
        """Whether a worker has taken the event at this place; None if nobody knows."""
        position = self.positions.get(partition)
        return None if position is None else taken(position, partition.topic_id, offset)

    def window(self, partition: PartitionId, offset: int) -> Window | None:
        """When a worker has taken the event at this place; None if it has not, or nobody knows."""
        position = self.positions.get(partition)
        if position is None or partition.topic_id != position.topic_id or not self.is_applied(partition, offset):
            return None
        return position.times.window(offset)


def taken(position: Position, topic_id: str, offset: int) -> bool | None:
    """Whether the offset of the topic of this id is applied, by the partition's position; None if it does not tell."""
    if topic_id == position.topic_id:
        end, gaps = position.end, position.gaps
    elif topic_id == position.anew:
        end, gaps = position.anew_end, position.anew_gaps
    else:
        return None
    return offset < end and not any(first <= offset < behind for first, behind in gaps)


def ask_store(partitions: Iterable[PartitionId], topics: Mapping[tuple[str, str], str]) -> Applied:
    """Asks the store that the environment names, if it names one.

    Args:
        partitions: whose positions are wanted.
        topics: by cluster id and topic id the topic's name.
    """
    if not any(os.environ.get(name) for name in NAMED_BY):
        return Applied({}, NO_STORE)
    try:
        store = make_store(worker_settings())
        store.open()
        try:
            found: dict[PartitionId, Position] = {}
            for one in partitions:
                source = Source(one.cluster_id, one.topic_id, topics.get(one[:2], ""))
                position = store.positions(source, [one.partition]).get(one.partition)
                found |= {} if position is None else {one: position}
        finally:
            store.close()
    except (StoreUnavailable, InvalidSettings) as error:
        return Applied({}, f"the store does not say: {error}")
    return Applied(found, KNOWN)
