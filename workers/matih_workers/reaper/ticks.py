"""Ticks: what moves the time of a partition in which runs are watched and nobody writes. Pure."""

from __future__ import annotations

from functools import cache

from matih_schemas import events
from matih_schemas.identity import DEFAULT_TENANT, event_id, partition_of, record_key
from matih_workers.reaper.silence import REAPER


def tick(partition: int, partitions: int, now_ms: int) -> events.TrackingEvent:
    """An event for this partition that asks nothing of anybody: a heartbeat of no run's owner.

    Args:
        partition: where it has to go.
        partitions: how many the topic has.
        now_ms: ms since the epoch.
    """
    run_id = _run_id(partition, partitions)
    payload = events.Heartbeat(run_id, REAPER, 0, owner=False)
    return events.TrackingEvent(event_id(run_id, REAPER, now_ms, "Heartbeat"), DEFAULT_TENANT, now_ms, payload)


@cache
def _run_id(partition: int, partitions: int) -> str:
    """The first id whose key Kafka puts there."""
    number = 0
    while partition_of(record_key(DEFAULT_TENANT, f"tick-{number}"), partitions) != partition:
        number += 1
    return f"tick-{number}"
