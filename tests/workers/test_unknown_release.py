"""MLflow is upgraded, under a worker, to tables that it does not know: it waits, says so, and goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from tests.waiting import until
from tests.workers.test_loop import compare, trained

if TYPE_CHECKING:
    from tests.workers.pipe import Pipe

UNKNOWN = "ffffffffffff"


def marked(database: str, revision: str) -> str:
    """Says that the tables are of that revision; returns the one that they were of."""
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        before = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    engine.dispose()
    return str(before)


def test_a_worker_keeps_its_events_until_the_revision_is_known_again(postgres_pipe: Pipe) -> None:
    producers, events = trained(runs=3, events=6, points=200)
    postgres_pipe.publish(events[:8])
    postgres_pipe.start(MATIH_WORKER_BACKOFF_MAX="0.5")
    postgres_pipe.settled()
    settled = postgres_pipe.published

    known = marked(postgres_pipe.store_uri, UNKNOWN)
    postgres_pipe.publish(events[8:])
    until(lambda: postgres_pipe.status()["store"]["state"] == "down", "the outage is seen")
    ready = postgres_pipe.page("/readyz")
    assert ready is not None
    assert not ready["ready"]
    assert f"tables of revision {UNKNOWN}" in ready["problems"][0]
    assert postgres_pipe.page("/healthz") == {"status": "alive"}
    retries = postgres_pipe.status()["retries"]
    until(lambda: postgres_pipe.status()["retries"] > retries + 2, "more tries")
    said = [line for line in postgres_pipe.log().splitlines() if UNKNOWN in line]
    assert len(said) == 1, "an outage is one line, not one per try"
    assert "upgrade matih-tracking, or set MATIH_STORE=client" in said[0]
    assert postgres_pipe.committed() == settled

    marked(postgres_pipe.store_uri, known)
    report = postgres_pipe.settled()
    assert (report["dead_letters"], report["store"]["state"]) == ({}, "up")
    assert (postgres_pipe.page("/readyz") or {})["ready"]
    compare(postgres_pipe, producers)
