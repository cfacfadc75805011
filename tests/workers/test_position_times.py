"""When an event was applied: the marks are few, and never say what is not so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from matih_workers.position_times import MARKS_MAX, Times, Window
from matih_workers.positions import Position, Source, Span, advanced

SOURCE = Source("cluster", "topic", "events")
DAY_MS = 86_400_000
BATCHES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6), st.integers(0, DAY_MS)), max_size=80)
"""Offsets applied at once, as the first and how many more, and the ms since the batch before."""


@given(BATCHES)
def test_an_event_was_applied_in_its_window(batches: list[tuple[int, int, int]]) -> None:
    """In whatever order: the last time that it was applied, or, if that was again, the first."""
    position, now = None, 1_000
    when: dict[int, list[int]] = {}
    for first, more, since in batches:
        now += since
        position = advanced(position, SOURCE, Span(0, first, first + more), now)
        position = Position.parse(position.text())
        for offset in range(first, first + more + 1):
            when.setdefault(offset, []).append(now)
    if position is None:
        return
    assert len(position.times.marks) <= MARKS_MAX
    for offset, times in when.items():
        window = position.times.window(offset)
        assert window is not None
        assert (window.after or 0) <= times[0] <= window.by
    assert position.times.window(position.end) is None


def test_the_newest_are_told_to_the_batch_and_old_ones_within_their_age() -> None:
    times, batches = Times(), 20_000
    for number in range(batches):
        times = times.advanced(number + 1, 1_000 * number)
    newest = times.window(batches - 1)
    assert newest == Window(1_000 * (batches - 2), 1_000 * (batches - 1))
    for offset in range(0, batches, 500):
        window = times.window(offset)
        assert window is not None
        width = window.by - (window.after or 0)
        assert width <= 1_000 * (batches - offset)


def test_a_clock_that_goes_back_does_not_turn_a_window_round() -> None:
    times = Times().advanced(1, 5_000).advanced(2, 4_000)
    assert times.window(1) == Window(5_000, 5_000)


def test_what_filled_a_gap_is_not_told_before_it_came() -> None:
    position = advanced(advanced(None, SOURCE, Span(0, 0, 0), 10), SOURCE, Span(0, 5, 5), 20)
    position = advanced(position, SOURCE, Span(0, 1, 4), 90)
    assert [position.times.window(offset) for offset in (0, 2, 5)] == [Window(None, 10), Window(10, 90), Window(10, 20)]


def test_without_a_time_nothing_is_kept() -> None:
    assert advanced(None, SOURCE, Span(0, 0, 9)).times == Times()
