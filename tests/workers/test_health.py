"""What the worker tells of its health: redelivery, lag, the share of dead letters, tenants."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from matih_schemas.errors import InvalidEvent
from matih_workers.dead_letters import DeadLetter
from matih_workers.health import Health
from matih_workers.records import Received
from matih_workers.share import LEAST_EVENTS, WINDOW_EVENTS, Share
from matih_workers.tenants import OTHER, TENANTS_MAX, UNKNOWN, Tenants

if TYPE_CHECKING:
    import pytest


def test_redelivered_events_are_counted() -> None:
    health = Health()
    records = [Received("t", 0, offset, b"acme/r", b"x", timestamp_ms=1) for offset in (0, 1, 2, 1, 2, 3)]
    health.took(records, 0, 5)
    assert "matih_worker_redelivered_events_total 2.0" in health.metrics.text().decode()


def test_lag_in_seconds_is_of_the_partition_that_is_furthest_behind() -> None:
    """A live partition goes first, so what was applied last says nothing of a backlog beside it."""
    waiting: dict[int, int] = {}
    oldest: dict[int, int] = {}
    health = Health(lag=lambda: waiting or None, oldest=oldest.get)
    assert health.lag_seconds() is None
    waiting |= {0: 0, 1: 0}
    assert (health.lag(), health.lag_seconds()) == (0, 0.0)
    waiting |= {0: 5}
    assert health.lag_seconds() is None
    now = int(time.time() * 1000)
    oldest[0] = now - 3_600_000
    assert 3_600 <= (health.lag_seconds() or 0) < 3_700
    waiting |= {1: 1}
    health.took([Received("t", 1, 0, b"acme/r", b"x", timestamp_ms=now)], 0, now)
    assert 3_600 <= (health.lag_seconds() or 0) < 3_700
    del oldest[0]
    assert (health.lag_seconds() or 0) < 100
    health.took([Received("t", 0, 0, b"acme/r", b"x", timestamp_ms=now - 1_800_000)], 0, now)
    assert 1_800 <= (health.lag_seconds() or 0) < 1_900
    waiting |= {0: 0}
    assert (health.lag_seconds() or 0) < 100


def test_many_dead_letters_are_a_warning_and_the_worker_stays_ready(caplog: pytest.LogCaptureFixture) -> None:
    health = Health(share_bound=0.05)
    health.store_works()
    health.kafka.works()
    health.assigned = frozenset()
    letter = DeadLetter(Received("t", 0, 0, b"acme/r", b"x"), InvalidEvent("malformed", "x"))
    for _ in range(LEAST_EVENTS):
        health.dead([], 1)
    assert health.warnings() == []
    for _ in range(20):
        health.dead([letter], 1)
    (warning,) = health.warnings()
    assert "17 % of the last events" in warning
    assert health.report()["ready"] is True
    assert caplog.text.count("of the last events") == 1


def test_a_topic_of_dead_letters_that_takes_none_is_told_until_it_takes_some(caplog: pytest.LogCaptureFixture) -> None:
    health = Health()
    health.store_works()
    health.kafka.works()
    health.assigned = frozenset()
    assert (health.problems(), health.kafka_works()) == ([], True)
    health.letters_wait("NotLeaderForPartitionError")
    health.letters_wait("NotLeaderForPartitionError")
    health.kafka.works()
    assert health.problems() == ["the topic of dead letters is down: NotLeaderForPartitionError"]
    assert (health.kafka_works(), health.report()["retries"]) == (False, 2)
    assert caplog.text.count("NotLeaderForPartitionError") == 1
    health.letters_taken()
    assert (health.problems(), health.kafka_works()) == ([], True)


def test_the_share_forgets() -> None:
    share = Share()
    share.add(1000, 1000)
    assert share.value == 1.0
    for _ in range(WINDOW_EVENTS // 100 + 10):
        share.add(100, 0)
    assert share.value == 0.0


def test_garbage_in_keys_fills_no_memory() -> None:
    tenants = Tenants()
    labels = {tenants.label(f"t{number}/r".encode()) for number in range(TENANTS_MAX + 500)}
    assert len(labels) == TENANTS_MAX + 1
    assert OTHER in labels
    assert {tenants.label(key) for key in (None, b"", b"no-slash", b"\xff\xfe/x", b"bad tenant/x")} == {UNKNOWN}
    assert tenants.label(b"t5/r") == "t5"
