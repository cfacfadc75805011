"""Offsets of one partition as ranges in order that do not overlap: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Ranges = tuple[range, ...]


def united(ranges: Iterable[range]) -> Ranges:
    """All offsets that are in one of them."""
    found: list[range] = []
    for one in sorted(filter(None, ranges), key=lambda one: one.start):
        if found and one.start <= found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, one.stop))
        else:
            found.append(range(one.start, one.stop))
    return tuple(found)


def common(some: Iterable[range], others: Iterable[range]) -> Ranges:
    """The offsets that are in both."""
    held = tuple(others)
    parts = (range(max(a.start, b.start), min(a.stop, b.stop)) for a in some for b in held)
    return united(parts)


def without(some: Iterable[range], others: Iterable[range]) -> Ranges:
    """The offsets of `some` that are not in the others."""
    left = united(some)
    for other in filter(None, others):
        parts = (
            (range(one.start, min(one.stop, other.start)), range(max(one.start, other.stop), one.stop)) for one in left
        )
        left = united(part for pair in parts for part in pair)
    return left


def count(ranges: Iterable[range]) -> int:
    """How many offsets."""
    return sum(len(one) for one in ranges)


def text(ranges: Iterable[range]) -> str:
    """For people: `2 to 5, 9`."""
    return ", ".join(str(one.start) if len(one) == 1 else f"{one.start} to {one.stop - 1}" for one in ranges)
