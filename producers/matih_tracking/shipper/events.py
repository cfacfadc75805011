"""Entries to events: pure. The same entries give the same events, ids included, however often they are published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from matih_schemas.events import (
    EntryGroup,
    ExperimentCreated,
    Heartbeat,
    Payload,
    RunCreated,
    RunEnded,
    RunLogged,
    Status,
    TrackingEvent,
)
from matih_schemas.identity import event_id

if TYPE_CHECKING:
    from matih_tracking.journal.entries import Created, Ended, Experiment
    from matih_tracking.shipper.sources import Source

HEARTBEAT_MS: Final = 60_000
"""An open run has a heartbeat in each of these, in ms."""


def run_created(source: Source, number: int, entry: Created) -> TrackingEvent:
    """The process begins to log into the run (again, if its journal had to be made anew: the attempt is the same)."""
    payload = RunCreated(
        run_id=source.run_id,
        producer_id=source.producer_id,
        sequence=number,
        experiment_id=entry.experiment_id,
        experiment_name=entry.experiment_name,
        run_name=entry.run_name,
        attempt=source.attempt,
        owner=entry.owner,
        rank=entry.rank,
        description=entry.description,
        user_id=entry.user_id,
        job_id=entry.job_id,
        parent_run_id=entry.parent_run_id,
        tags=entry.tags,
        experiment_description=entry.experiment_description,
        experiment_tags=entry.experiment_tags,
        artifact_location=entry.artifact_location,
    )
    return _event(source, number, entry.time, payload)


def run_logged(source: Source, groups: list[EntryGroup]) -> TrackingEvent:
    """What one or more producers of the source's run logged; the source is that of the first group."""
    first = groups[0]
    return _event(source, first.first_sequence, first.time[0], RunLogged(source.run_id, groups))


def run_ended(source: Source, number: int, entry: Ended) -> TrackingEvent:
    """The process said how its part in the run ended."""
    payload = _end(source, number, entry.status, entry.time, reason=entry.reason)
    return _event(source, number, entry.time, payload)


def run_died(source: Source, last_number: int, last_time: int) -> TrackingEvent:
    """The process is gone and did not say how its part ended: it failed, when it was last heard of.

    Args:
        source: the dead process's journal.
        last_number: the number of its last entry.
        last_time: that entry's time, ms since the epoch.
    """
    reason = "the process died without ending its run"
    payload = _end(source, last_number + 1, "FAILED", last_time, reason=reason, inferred=True)
    return _event(source, last_number + 1, last_time, payload)


def experiment_created(source: Source, number: int, entry: Experiment) -> TrackingEvent:
    """An experiment exists; it may be of another tenant than the journal's first entry."""
    payload = ExperimentCreated(entry.experiment_id, entry.name, entry.description, entry.artifact_location, entry.tags)
    return TrackingEvent(
        event_id=event_id(source.run_id, source.producer_id, number, "ExperimentCreated"),
        tenant_id=entry.tenant_id,
        occurred_at=entry.time,
        payload=payload,
        claimed_user=entry.claimed_user,
        host=entry.host,
        sdk_version=entry.sdk_version,
    )


def heartbeat(source: Source, now_ms: int) -> TrackingEvent:
    """The run's process lives; one event per `HEARTBEAT_MS`, whoever publishes it."""
    beat = now_ms // HEARTBEAT_MS
    return _event(source, beat, now_ms, Heartbeat(source.run_id, source.producer_id, source.attempt, source.owner))


def _end(source: Source, sequence: int, status: str, time: int, *, reason: str, inferred: bool = False) -> RunEnded:
    return RunEnded(
        run_id=source.run_id,
        producer_id=source.producer_id,
        sequence=sequence,
        status=cast("Status", status),
        attempt=source.attempt,
        owner=source.owner,
        end_time=time,
        rank=source.rank,
        inferred=inferred,
        reason=reason,
    )


def _event(source: Source, sequence: int, time: int, payload: Payload) -> TrackingEvent:
    return TrackingEvent(
        event_id=event_id(source.run_id, source.producer_id, sequence, type(payload).__name__),
        tenant_id=source.tenant_id,
        occurred_at=time,
        payload=payload,
        claimed_user=source.claimed_user,
        host=source.host,
        sdk_version=source.sdk_version,
    )
