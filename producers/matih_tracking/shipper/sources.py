"""Whose entries these are: what a journal's header and first entry say about all that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matih_tracking.journal.entries import Created, Experiment


@dataclass(frozen=True, slots=True)
class Source:
    """One producer of one run, that is one journal.

    Attributes:
        attempt: ms since the epoch at which it began.
        owner: its end is the run's end.
        rank: its place in a distributed job, None outside one.
        has_run: False for a journal that holds experiments only.
    """

    run_id: str
    producer_id: str
    tenant_id: str
    attempt: int
    owner: bool = False
    rank: int | None = None
    claimed_user: str | None = None
    host: str = ""
    sdk_version: str = ""
    has_run: bool = True


def run_source(run_id: str, producer_id: str, first: Created) -> Source:
    """The source of a run's journal."""
    return Source(
        run_id,
        producer_id,
        first.tenant_id,
        first.time,
        first.owner,
        first.rank,
        first.claimed_user,
        first.host,
        first.sdk_version,
    )


def experiment_source(run_id: str, producer_id: str, first: Experiment) -> Source:
    """The source of a journal without a run."""
    return Source(
        run_id,
        producer_id,
        first.tenant_id,
        first.time,
        claimed_user=first.claimed_user,
        host=first.host,
        sdk_version=first.sdk_version,
        has_run=False,
    )
