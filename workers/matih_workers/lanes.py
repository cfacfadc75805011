"""Records that wait to be applied, a lane for each partition: which go next, and for which there is room.

One tenant's backlog must not stand before another's run. So a partition waits only behind its own records, and where
some have a backlog and others are live, the live ones go in batches of their own, between smaller ones of the others.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from matih_workers.records import Received

ROOM_BYTES: Final = 512 << 10
"""Bytes of values that may wait: Kafka's client counts records, and one may have a megabyte."""
LANE_BYTES: Final = 64 << 10
"""What each lane may have of it in any case; one record always."""
LIVE_BYTES: Final = 16 << 10
"""A lane is live with at most so many bytes, if they were all that there was, and before them too nothing was left.

A backlog's end is not live: nobody waits for it, and in small batches it would slow the others' backlogs.
"""
POINTS_BETWEEN: Final = 2_500
"""Points of other lanes in a batch, beside live ones: what these wait for."""
SMALL_PARTS: Final = 40
"""So many such batches after a live lane had something: it may have more soon."""
LIVE_PARTS: Final = 3
"""Parts of live lanes, as they come, before the others get their turn."""
_POINT_BYTES: Final = 11
"""A point takes so many bytes or more."""


class Lanes:
    """What was taken from the topic and is not applied yet.

    For the worker's event loop; `room` and `polled` may be called in another thread.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Received]] = {}
        self._bytes: dict[int, int] = {}
        self._nothing_left: dict[int, bool] = {}
        self._live: set[int] = set()
        self._limit = ROOM_BYTES
        self._live_parts = 0
        self._since_live = SMALL_PARTS
        self._turn = 0

    def room(self, partition: int) -> int:
        """For how many bytes more of the partition's values there is room; a larger record may come if it is not 0."""
        return max(0, self._limit - self._bytes.get(partition, 0))

    def polled(self, partition: int, size: int, left: int) -> None:
        """So many bytes of values come now, and so many records of the partition are left on the broker."""
        few = self._bytes.get(partition, 0) + size <= LIVE_BYTES
        is_live = few and left <= 0 and self._nothing_left.get(partition, True)
        (self._live.add if is_live else self._live.discard)(partition)
        self._nothing_left[partition] = left <= 0

    def put(self, record: Received) -> None:
        """The record waits from now on, behind the others of its partition."""
        self._waiting.setdefault(record.partition, deque()).append(record)
        self._bytes[record.partition] = self._bytes.get(record.partition, 0) + record.size
        self._share_room()

    def put_back(self, records: Sequence[Received]) -> None:
        """What was taken out last, and is not done, waits again, before all others."""
        for record in reversed(records):
            self._waiting[record.partition].appendleft(record)
            self._bytes[record.partition] += record.size
        self._share_room()

    @property
    def is_quiet(self) -> bool:
        """Whether so little waits that there is no backlog."""
        return sum(self._bytes.values()) <= LIVE_BYTES

    def oldest_ms(self, partition: int) -> int | None:
        """When Kafka received the partition's first record that waits, in ms since the epoch; None if none waits."""
        waiting = self._waiting.get(partition)
        return waiting[0].timestamp_ms if waiting else None

    def part(self, points: int, events: int, alone: Callable[[Received], bool]) -> list[Received]:
        """Takes out what is to be applied next, of each partition in its order; empty if nothing waits.

        Args:
            points: so many points are enough; the last record may bring more.
            events: so many records at most.
            alone: whether a record has to be the only one of its part.
        """
        lanes = [partition for partition, records in self._waiting.items() if records]
        live = [partition for partition in lanes if partition in self._live]
        others = [partition for partition in lanes if partition not in live]
        self._since_live = 0 if live else self._since_live + 1
        self._live_parts = self._live_parts + 1 if live and others and self._live_parts < LIVE_PARTS else 0
        if self._live_parts or not others:
            lanes = live
        else:
            lanes, points = others, min(points, POINTS_BETWEEN) if self._since_live < SMALL_PARTS else points
        self._turn += 1
        return self._take(_rotated(lanes, self._turn), points, events, alone)

    def _take(self, lanes: list[int], points: int, events: int, alone: Callable[[Received], bool]) -> list[Received]:
        candidates = self._turns(lanes, points * _POINT_BYTES // max(1, len(lanes)))
        part = first_part(candidates, points, events, alone)
        for record in part:
            self._waiting[record.partition].popleft()
            self._bytes[record.partition] -= record.size
        self._share_room()
        return part

    def _turns(self, lanes: Iterable[int], turn: int) -> Iterator[Received]:
        """All records; lanes take turns of so many bytes, one record at least."""
        waiting = deque(iter(self._waiting[partition]) for partition in lanes)
        while waiting:
            lane, left = waiting.popleft(), turn
            for record in lane:
                yield record
                left -= 1 + record.size
                if left < 0:
                    waiting.append(lane)
                    break

    def _share_room(self) -> None:
        self._limit = max(LANE_BYTES, ROOM_BYTES // max(1, sum(map(bool, self._bytes.values()))))


def first_part(
    records: Iterable[Received], points: int, events: int, alone: Callable[[Received], bool]
) -> list[Received]:
    """The first of these records, as many as are applied at once; see `Lanes.part`."""
    part: list[Received] = []
    for record in records:
        by_itself = alone(record)
        if part and by_itself:
            break
        part.append(record)
        points -= points_at_most(record)
        if by_itself or points <= 0 or len(part) == events:
            break
    return part


def points_at_most(record: Received) -> int:
    """Roughly how many points a record brings, without decoding it."""
    return record.size // _POINT_BYTES


def _rotated(lanes: list[int], turn: int) -> list[int]:
    first = turn % len(lanes) if lanes else 0
    return list(chain(lanes[first:], lanes[:first]))
