"""Two hosts with a shipper each: when one is gone its run ends FAILED and the other's goes on; and it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.waiting import until
from tests.workers.hosts import Host
from tests.workers.pipe import Pipe
from tests.workers.views import SqlBench

from matih_schemas.status import StatusOrder
from matih_tracking.spool import host_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.workers.views import View

    from matih_local.system import LocalSystem

CALLS = 100_000
PAUSE_MS = 20.0
SILENCE = 6


@pytest.fixture
def worker(kafka: str, events_topic: str, postgres_uri: str, tmp_path: Path) -> Iterator[Pipe]:
    """A worker that takes a few silent seconds for the end of a host."""
    worker = Pipe(kafka, events_topic, postgres_uri, tmp_path)
    worker.start(MATIH_REAPER_SILENCE=str(SILENCE))
    yield worker
    worker.close()


@pytest.fixture
def hosts(local_system: LocalSystem, worker: Pipe, tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """Both at work: each one's run is in the database and has had its heartbeat."""
    pair = Host(local_system, worker.topic, tmp_path / "one"), Host(local_system, worker.topic, tmp_path / "two")
    try:
        for host in pair:
            host.start_shipper()
            host.start_trainer("trainer", CALLS, PAUSE_MS)
        for host in pair:
            until(lambda host=host: has_beaten(worker, host), "a heartbeat of each host", pause=0.2)  # type: ignore[misc]
        yield pair
    finally:
        for host in pair:
            host.close()


@pytest.mark.soak
def test_a_host_that_is_gone_for_good(worker: Pipe, hosts: tuple[Host, Host]) -> None:
    gone, other = hosts
    gone.kill()
    ends_by_silence(worker, gone)
    goes_on(worker, other)
    gone.start_shipper()  # its disk is read again: what was logged last is there
    other.finish()
    for host, status in ((gone, "FAILED"), (other, "FINISHED")):
        found = host.final_count({"trainer": status})
        assert found.holds, found
    assert worker.dead_letters() == []


@pytest.mark.soak
def test_a_host_that_comes_back_with_a_new_shipper(worker: Pipe, hosts: tuple[Host, Host]) -> None:
    away, other = hosts
    away.freeze()
    ends_by_silence(worker, away)
    goes_on(worker, other)
    away.kill_shipper()
    away.wake()  # the trainer starts the new one
    until(lambda: run(worker, away).status == "RUNNING", "the run is back", pause=0.2)
    assert run(worker, away).tags["matih.end_reason"] == ""
    for host in hosts:
        goes_on(worker, host)
        host.finish()
        found = host.final_count({"trainer": "FINISHED"})
        assert found.holds, found
    assert worker.dead_letters() == []


def ends_by_silence(worker: Pipe, host: Host) -> None:
    until(lambda: run(worker, host).status == "FAILED", "the run of the silent host FAILED", pause=0.2)
    assert run(worker, host).tags["matih.end_reason"] == f"no sign of life from {host_name()} any more"


def goes_on(worker: Pipe, host: Host) -> None:
    before = points(worker, host)
    until(lambda: points(worker, host) > before, "more points of the living host", pause=0.2)
    assert run(worker, host).status == "RUNNING"


def run(worker: Pipe, host: Host) -> View:
    """The host's run."""
    seen = SqlBench(worker.store_uri).view(host.tails["trainer"].read().run_id)
    assert seen is not None
    return seen


def has_beaten(worker: Pipe, host: Host) -> bool:
    """Whether its first heartbeat is applied: it comes after the run's creation, up to a second later."""
    if not points(worker, host):
        return False
    seen = run(worker, host)
    order = StatusOrder.parse(seen.tags["matih.status"])
    return order is not None and order.occurred_at > seen.start_time


def points(worker: Pipe, host: Host) -> int:
    """Of the host's run so far; 0 before there is one."""
    run_id = host.tails["trainer"].read().run_id
    seen = SqlBench(worker.store_uri).view(run_id) if run_id else None
    return len(seen.points) if seen is not None else 0
