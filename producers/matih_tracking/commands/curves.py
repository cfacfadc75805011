"""Curves as text, in Braille characters: 2 x 4 dots in each. Pure."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_BLANK: Final = 0x2800
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_LABEL: Final = 10


def curve(points: Sequence[tuple[float, float]], width: int, height: int) -> list[str]:
    """The points joined by lines, with the values at the left and the steps below.

    Args:
        points: (step, value), by step; what is not finite leaves a gap.
        width: characters, labels included.
        height: lines, labels included.
    """
    columns, rows = max(4, width - _LABEL - 2), max(2, height - 1)
    finite = [value for _, value in points if isfinite(value)]
    if not finite:
        return [f"{'':>{_LABEL}} │ nothing to draw yet"]
    low, high = min(finite), max(finite)
    canvas = _drawn(points, (low, high), columns, rows)
    labels = {0: f"{high:.4g}", rows - 1: f"{low:.4g}"}
    lines = [
        f"{labels.get(row, ''):>{_LABEL}} │{''.join(chr(_BLANK + cell) for cell in cells)}"
        for row, cells in enumerate(canvas)
    ]
    first, last = f"{points[0][0]:g}", f"{points[-1][0]:g}"
    return [*lines, f"{'step':>{_LABEL}}  {first}{last:>{max(1, columns - len(first))}}"]


def _drawn(
    points: Sequence[tuple[float, float]], bounds: tuple[float, float], columns: int, rows: int
) -> list[list[int]]:
    canvas = [[0] * columns for _ in range(rows)]
    steps = points[0][0], points[-1][0]
    before: tuple[int, int] | None = None
    for step, value in points:
        if not isfinite(value):
            before = None
            continue
        here = _place(step, steps, columns * 2), rows * 4 - 1 - _place(value, bounds, rows * 4)
        for x, y in _line(before or here, here):
            canvas[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
        before = here
    return canvas


def _place(value: float, bounds: tuple[float, float], dots: int) -> int:
    """The dot of a value. Halves, as the range of two doubles may be more than a double holds."""
    low, high = bounds[0] / 2, bounds[1] / 2
    share = (value / 2 - low) / (high - low) if high > low else 0.5
    return min(dots - 1, max(0, round(share * (dots - 1))))


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The dots between two dots, both included (DDA)."""
    (x0, y0), (x1, y1) = start, end
    length = max(abs(x1 - x0), abs(y1 - y0), 1)
    for i in range(length + 1):
        yield round(x0 + (x1 - x0) * i / length), round(y0 + (y1 - y0) * i / length)


def stacked(curves: Iterable[tuple[str, Sequence[tuple[float, float]]]], width: int, height: int) -> list[str]:
    """Titled curves, one below the other, in `height` lines in all."""
    many = list(curves)
    each = max(4, height // max(1, len(many)) - 2)
    lines: list[str] = []
    for title, points in many:
        last = f" {points[-1][1]:.6g} at step {points[-1][0]:g}" if points else ""
        lines += [f"{title}{last}", *curve(points, width, each), ""]
    return lines[:-1]
