"""Curves as text."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from matih_tracking.commands.curves import curve, stacked


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    assert curve([(0, 0.0), (10, 1.0)], 20, 4) == [
        "         1 │⠀⠀⠀⠀⠀⢀⠔⠊",
        "           │⠀⠀⢀⡠⠊⠁⠀⠀",
        "         0 │⡠⠔⠁⠀⠀⠀⠀⠀",
        "      step  0     10",
    ]


def test_what_is_not_finite_is_a_gap():
    broken = [(0, 0.0), (1, 0.0), (2, math.nan), (3, math.inf), (4, 0.0), (5, 0.0)]
    line = curve(broken, 24, 2)[0].partition("│")[2]
    assert "⠀" in line.strip("⠀")
    assert curve([(0, math.nan)], 24, 2)[-1].endswith("nothing to draw yet")
    assert curve([], 24, 2)[-1].endswith("nothing to draw yet")


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats()), max_size=30),
    st.integers(1, 90),
    st.integers(1, 30),
)
def test_any_points_fit(points, width, height):
    lines = curve(sorted(points, key=lambda point: point[0]), width, height)
    assert len(lines) <= max(height, 3)
    drawn = [line.partition("│")[2] for line in lines[:-1]]
    assert all(len(line) == max(4, width - 12) for line in drawn)


def test_several_stand_one_below_the_other():
    lines = stacked([("loss", [(0, 2.0), (7, 1.5)]), ("acc", [])], 30, 12)
    assert lines[0] == "loss 1.5 at step 7"
    assert "acc" in lines
