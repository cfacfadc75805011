"""What a store has not seen of a topic, by its positions: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matih_schemas import codec, events
from matih_schemas.errors import InvalidEvent
from matih_workers.positions import on_topic
from matih_workers.replay.ranges import Ranges, common, count, text, united, without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_workers.positions import Position
    from matih_workers.records import Received
    from matih_workers.replay.source import Held

_ORDERED = (
    events.RunDeleted,
    events.RunRestored,
    events.ExperimentUpdated,
    events.ExperimentDeleted,
    events.ExperimentRestored,
)
"""Changes whose order is the topic's alone: behind an older one that comes late the newer ones have to come again."""


@dataclass(frozen=True)
class Former:
    """What was not applied of a topic that had this one's name before it was made anew.

    Attributes:
        gaps: offsets before `end`.
        end: from here on nothing was.
    """

    topic_id: str
    gaps: Ranges
    end: int


@dataclass
class Missing:
    """What is missing, by partition.

    Attributes:
        there: what can be brought.
        lost: what no source holds any more.
        former: of topics that were made anew.
    """

    there: dict[int, Ranges] = field(default_factory=dict)
    lost: dict[int, Ranges] = field(default_factory=dict)
    former: dict[int, Former] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.there or self.lost or self.former)

    @property
    def events(self) -> int:
        """How many can be brought."""
        return sum(map(count, self.there.values()))

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "missing": self.events,
            "partitions": {str(number): text(ranges) for number, ranges in sorted(self.there.items())},
            "lost": {str(number): text(ranges) for number, ranges in sorted(self.lost.items())},
            "former_topics": {
                str(number): {"topic_id": former.topic_id, "gaps": text(former.gaps), "from": former.end}
                for number, former in sorted(self.former.items())
            },
        }


def missing(positions: Mapping[int, Position], committed: Mapping[int, int], held: Held, topic_id: str) -> Missing:
    """What the store lacks: the gaps in its positions, and what the workers have acknowledged behind them.

    Args:
        positions: the store's, read after `committed`, so that live events are not taken for missing ones.
        committed: the next offset of the workers' group.
        held: what can be read of the topic.
        topic_id: of the topic as it is now.
    """
    found = Missing()
    for number, of_partition in held.items():
        position = on_topic(positions.get(number), topic_id)
        behind = range(position.end, committed.get(number, 0))
        gaps = united((*(range(*gap) for gap in position.gaps), behind))
        if there := common(gaps, of_partition):
            found.there[number] = there
        if lost := without(gaps, of_partition):
            found.lost[number] = lost
        if position.anew is not None:
            former = tuple(range(*gap) for gap in position.anew_gaps)
            found.former[number] = Former(position.anew, former, position.anew_end)
    return found


def is_ordered(record: Received) -> bool:
    """Whether the record's change has no order but the topic's."""
    try:
        return isinstance(codec.decode(record.value or b"").payload, _ORDERED)
    except InvalidEvent:
        return False
