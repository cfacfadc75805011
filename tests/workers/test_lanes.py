"""Which records go next: nothing lost, each partition in its order, and nobody waits behind another's backlog."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from matih_workers.lanes import (
    LANE_BYTES,
    LIVE_BYTES,
    LIVE_PARTS,
    POINTS_BETWEEN,
    ROOM_BYTES,
    SMALL_PARTS,
    Lanes,
    points_at_most,
)
from matih_workers.records import Received

POINTS, EVENTS = 20_000, 256
SIZES = st.integers(0, 3000) | st.sampled_from([11_000, 900_000])
STEPS = st.lists(st.tuples(st.integers(0, 3), SIZES) | st.none(), max_size=120)
"""Records that come, by partition and size; None: a part is taken."""


def record(partition: int, offset: int, size: int) -> Received:
    return Received("t", partition, offset, b"k", b"x" * size)


def put(lanes: Lanes, *records: Received) -> None:
    for one in records:
        lanes.put(one)


def live(lanes: Lanes, *records: Received) -> None:
    """They come, of one partition, and nothing is left of it."""
    lanes.polled(records[0].partition, sum(len(one.value or b"") for one in records), 0)
    put(lanes, *records)


def part(
    lanes: Lanes, points: int = POINTS, events: int = EVENTS, alone: frozenset[Received] = frozenset()
) -> list[Received]:
    return lanes.part(points, events, alone.__contains__)


def places(records: list[Received]) -> list[tuple[int, int]]:
    return [(one.partition, one.offset) for one in records]


@given(STEPS, st.integers(1, 30_000), st.integers(1, 30), st.sets(st.integers(0, 120)))
def test_all_come_out_once_in_their_order_and_within_the_bounds(
    steps: list[tuple[int, int] | None], points: int, events: int, bad: set[int]
) -> None:
    lanes, came, parts = Lanes(), [], []
    for offset, step in enumerate(steps):
        if step is None:
            parts.append(part(lanes, points, events, frozenset(one for one in came if one.offset in bad)))
        else:
            came.append(record(step[0], offset, step[1]))
            put(lanes, came[-1])
    alone = frozenset(one for one in came if one.offset in bad)
    while last := part(lanes, points, events, alone):
        parts.append(last)
    for partition in range(4):
        taken = [one for some in parts for one in some if one.partition == partition]
        assert taken == [one for one in came if one.partition == partition]
    for some in parts:
        assert len(some) <= events
        assert sum(map(points_at_most, some[:-1])) < points or len(some) == 1
        assert len(some) <= 1 or not alone & set(some)
    assert all(lanes.room(partition) for partition in range(4))


def test_a_live_lane_goes_next_and_alone_however_long_the_others_are() -> None:
    lanes = Lanes()
    for partition in range(11):
        put(lanes, *[record(partition, offset, 11_000) for offset in range(6)])
    assert sum(map(points_at_most, part(lanes))) > POINTS_BETWEEN
    live(lanes, record(11, 0, 600), record(11, 1, 600))
    assert places(part(lanes)) == [(11, 0), (11, 1)]
    between = part(lanes)
    assert {one.partition for one in between}.isdisjoint({11})
    assert sum(map(points_at_most, between[:-1])) < POINTS_BETWEEN
    live(lanes, record(11, 2, 600))
    assert places(part(lanes)) == [(11, 2)]


def test_after_a_while_without_live_ones_batches_are_large_again() -> None:
    lanes = Lanes()
    live(lanes, record(1, 0, 500))
    put(lanes, *[record(0, offset, 11_000) for offset in range(400)])
    sizes = [len(part(lanes)) for _ in range(SMALL_PARTS + 2)]
    assert sizes[0] == 1
    assert max(sizes[1:SMALL_PARTS]) < sizes[-1] == POINTS // points_at_most(record(0, 0, 11_000))


def test_a_backlog_goes_on_beside_live_lanes_that_never_end() -> None:
    lanes = Lanes()
    put(lanes, *[record(0, offset, 11_000) for offset in range(40)])
    seen = []
    for offset in range(40 * (LIVE_PARTS + 1)):
        live(lanes, record(1, offset, 500))
        seen += part(lanes)
    assert len([one for one in seen if one.partition == 0]) == 40


def test_what_has_more_on_the_broker_is_not_live() -> None:
    lanes = Lanes()
    lanes.polled(1, 500, left=5_000)
    put(lanes, record(0, 0, 100), record(1, 0, 500))
    assert len(part(lanes)) == 2


def test_a_backlogs_end_is_not_live_but_what_comes_after_it_is() -> None:
    lanes = Lanes()
    put(lanes, record(0, 0, 100))
    lanes.polled(1, 500, left=1)
    live(lanes, record(1, 1, 500))
    assert len(part(lanes)) == 2
    put(lanes, record(0, 1, 100))
    live(lanes, record(1, 2, 500))
    assert places(part(lanes)) == [(1, 2)]


def test_a_long_lane_does_not_become_live_when_little_is_left_of_it() -> None:
    lanes = Lanes()
    live(lanes, *[record(1, offset, LIVE_BYTES // 2) for offset in range(3)])
    put(lanes, *[record(0, offset, LIVE_BYTES // 2) for offset in range(3)])
    two_of_each = 4 * points_at_most(record(0, 0, LIVE_BYTES // 2)) - 1
    assert sorted(places(part(lanes, two_of_each))) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert sorted(places(part(lanes))) == [(0, 2), (1, 2)]


def test_what_comes_to_a_long_lane_is_not_live() -> None:
    lanes = Lanes()
    put(lanes, record(0, 0, 100), record(1, 0, LIVE_BYTES))
    live(lanes, record(1, 1, 100))
    assert len(part(lanes)) == 3


def test_long_lanes_take_turns_of_as_many_bytes() -> None:
    lanes = Lanes()
    for partition, size in ((0, 11_000), (1, 1_100)):
        put(lanes, *[record(partition, offset, size) for offset in range(100)])
    sizes = dict.fromkeys((0, 1), 0)
    for one in part(lanes, points=6_000):
        sizes[one.partition] += len(one.value or b"")
    assert min(sizes.values()) > 20_000


def test_it_is_quiet_while_less_waits_than_makes_a_backlog() -> None:
    lanes = Lanes()
    assert lanes.is_quiet
    put(lanes, record(0, 0, LIVE_BYTES // 2), record(1, 0, LIVE_BYTES // 2))
    assert lanes.is_quiet
    put(lanes, record(2, 0, 1))
    assert not lanes.is_quiet
    lanes.part(POINTS, EVENTS, lambda _: True)
    assert lanes.is_quiet


def test_no_lane_waits_for_ever() -> None:
    lanes = Lanes()
    for partition in range(12):
        put(lanes, *[record(partition, offset, 11_000) for offset in range(3)])
    seen = [one.partition for _ in range(12) for one in part(lanes, points=1_000)]
    assert set(seen) == set(range(12))


def test_room_is_shared_and_a_lane_always_has_some() -> None:
    lanes = Lanes()
    put(lanes, record(0, 0, ROOM_BYTES - 1))
    assert lanes.room(0)
    put(lanes, record(0, 1, 1))
    assert not lanes.room(0)
    for partition in range(1, 12):
        put(lanes, record(partition, 0, LANE_BYTES - 1))
        assert lanes.room(partition)
        put(lanes, record(partition, 1, 900_000))
        assert not lanes.room(partition)
