"""Pages of a list that MLflow has a part of, in its order; the rest is acknowledged and on its way there. Pure.

MLflow's list, without what has left it or stands elsewhere by now, and with what is new in it, is the list that is
paged. So a page is read from MLflow a little wider (`window`), and cut once both are one (`merged`): as long as nothing
changes in between, each object is on one page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from matih_tracking.reading.views import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

View = TypeVar("View")


@dataclass(frozen=True)
class Listed(Generic[View]):
    """A list.

    Attributes:
        identity: the id of an object.
        fits: whether an object that is so belongs into the list.
        place: by what it is sorted.
        ordered: some in the list's order, which leaves nothing open.
    """

    identity: Callable[[View], str]
    fits: Callable[[View], bool]
    place: Callable[[View], Any]
    ordered: Callable[[Sequence[View]], list[View]]


@dataclass(frozen=True)
class Moves(Generic[View]):
    """How a list differs from MLflow's: what moves within it is gone and new.

    Attributes:
        gone: as MLflow has them.
        new: as they are.
    """

    gone: list[View]
    new: list[View]


class Window(NamedTuple):
    """What of MLflow's list has to be read: so many rows from `start` on."""

    start: int
    rows: int


def moves(changed: Sequence[tuple[View | None, View]], listed: Listed[View]) -> Moves[View]:
    """What these changes do to the list; of each how MLflow has the object (None: not at all), and how it is."""
    found = Moves[View]([], [])
    for was, now in changed:
        before = was if was is not None and listed.fits(was) else None
        fits = listed.fits(now)
        if before is not None and fits and listed.place(before) == listed.place(now):
            continue
        if before is not None:
            found.gone.append(before)
        if fits:
            found.new.append(now)
    return found


def is_one_moment(
    before: Sequence[tuple[View | None, View]], after: Sequence[tuple[View | None, View]], listed: Listed[View]
) -> bool:
    """Whether MLflow has what changes where it had it: then nothing of it was applied between two looks."""
    now_at = {listed.identity(now): _standing(was, listed) for was, now in after}
    then_at = {listed.identity(now): _standing(was, listed) for was, now in before}
    return all(now_at.get(one, place) == place for one, place in then_at.items())


def _standing(was: View | None, listed: Listed[View]) -> tuple[Any] | None:
    return None if was is None or not listed.fits(was) else (listed.place(was),)


def window(offset: int, limit: int, moved: Moves[Any]) -> Window:
    """Wide enough, wherever what is new stands, and whatever of the rows is gone."""
    start = max(0, offset - len(moved.new))
    return Window(start, offset - start + limit + len(moved.gone))


def merged(
    stored: Page[View],
    start: int,
    changed: Sequence[tuple[View | None, View]],
    folded: Callable[[View], View],
    listed: Listed[View],
    offset: int,
    limit: int,
) -> Page[View]:
    """A page of the whole list.

    Args:
        stored: MLflow's rows of the window.
        start: the window's.
        changed: as for `moves`; it was read before the rows, which count where they tell more.
        folded: a row as it is by now.
        listed: what the list is.
        offset: of the page.
        limit: of the page.
    """
    rows = [(row, folded(row)) for row in stored.items]
    there = {listed.identity(row) for row, _ in rows}
    moved = moves([pair for pair in changed if listed.identity(pair[1]) not in there], listed)
    stay = [now for row, now in rows if not _moves(row, now, listed, moved)]
    total = stored.total - len(moved.gone) + len(moved.new)
    if not start:
        return Page(listed.ordered([*stay, *moved.new])[offset : offset + limit], total)
    if not stored.items:
        return Page([], total)
    gone_before, _ = _around(stored.items[0], moved.gone, listed)
    new_before, after = _around(stored.items[0], moved.new, listed)
    skip = max(0, offset - (start - len(gone_before) + len(new_before)))
    return Page(listed.ordered([*stay, *after])[skip : skip + limit], total)


def _moves(row: View, now: View, listed: Listed[View], moved: Moves[View]) -> bool:
    """Whether a row has left its place, which is noted then. That it was in the list MLflow has said."""
    leaves = listed.fits(row) and not listed.fits(now)
    if not leaves and listed.place(row) == listed.place(now):
        return False
    moved.gone.append(row)
    if not leaves:
        moved.new.append(now)
    return True


def _around(row: View, some: Sequence[View], listed: Listed[View]) -> tuple[list[View], list[View]]:
    """What of these stands before the row, and what after it."""
    ranked = listed.ordered([*some, row])
    at = next(index for index, one in enumerate(ranked) if one is row)
    return ranked[:at], ranked[at + 1 :]
