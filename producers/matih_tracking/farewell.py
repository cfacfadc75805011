"""The lines about where the data goes, and what has become of it at the end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Part(NamedTuple):
    """One run's part in this process, at the end of it.

    Attributes:
        title: the run, as `titled` calls it.
        state: how it ended here.
        entries: log calls kept.
        left: those that Kafka has not acknowledged yet.
        spool: where they lie.
        url: the run's page in MLflow, if it is known.
    """

    title: str
    state: str
    entries: int
    left: int
    spool: str
    url: str | None = None


def titled(run_id: str, name: str) -> str:
    """A run as people are told of it."""
    return f'run {run_id[:8]} "{name[:60]}"'


def greeting(title: str, goes_to: str, rank: int | None) -> str:
    """The line at the start."""
    return f"{title}{'' if rank is None else f' (rank {rank})'} -> {goes_to}"


def farewell(
    parts: Sequence[Part], goes_to: str, *, before: tuple[int, int] = (0, 0), offline: bool = False
) -> list[str]:
    """The lines at the end: what was delivered, and what is left, where, and what delivers it.

    Args:
        parts: the runs.
        goes_to: where they are delivered.
        before: runs and entries that were delivered and are not among the parts.
        offline: nobody delivers while this job runs.
    """
    left = [part for part in parts if part.left]
    done = [part for part in parts if not part.left]
    lines = []
    if done or before[0]:
        entries = before[1] + sum(part.entries for part in done)
        lines.append(f"{_named(done, before[0])}: {_counted(entries)} delivered to {goes_to}{_url(done)}")
    for spool in dict.fromkeys(part.spool for part in left):
        here = [part for part in left if part.spool == spool]
        waiting, entries = sum(part.left for part in here), sum(part.entries for part in here)
        goes_on = "" if offline else "a shipper goes on trying to deliver them, and "
        lines.append(
            f"{_named(here)}: {waiting} of {_counted(entries)} still on disk in {spool}; "
            f"{goes_on}`matih sync {spool}` delivers what is left{_url(here)}"
        )
    return lines


def _named(parts: Sequence[Part], more: int = 0) -> str:
    return f"{len(parts) + more} runs" if len(parts) + more > 1 else f"{parts[0].title} {parts[0].state}"


def _counted(entries: int) -> str:
    return "1 entry" if entries == 1 else f"{entries} entries"


def _url(parts: Sequence[Part]) -> str:
    return f" | {parts[0].url}" if len(parts) == 1 and parts[0].url else ""
