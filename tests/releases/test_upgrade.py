"""`mlflow db upgrade` under a worker that is at work: nothing lost, nothing twice, no dead letters."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from tests.releases.mlflow_release import INSTALLED, MlflowRelease
from tests.waiting import until
from tests.workers.pipe import Pipe
from tests.workers.test_loop import compare, trained

if TYPE_CHECKING:
    from pathlib import Path

    from matih_local.system import LocalSystem

# The first test of a release may install it.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


def revision(database: str) -> object:
    engine = sa.create_engine(database)
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    engine.dispose()
    return found


def test_an_upgrade_under_load(
    release: MlflowRelease, local_system: LocalSystem, kafka: str, events_topic: str, tmp_path: Path
) -> None:
    local_system.start("postgres")
    database = local_system.postgres.create_database(f"upgraded_{secrets.token_hex(6)}")
    with release.server(database, tmp_path):
        before = revision(database)
    pipe = Pipe(kafka, events_topic, database, tmp_path)
    producers, events = trained(runs=4, events=10, points=200)
    half = len(events) // 2
    pipe.start()
    try:
        pipe.publish(events[:half])
        until(lambda: pipe.status().get("events", 0) > 0, "the first batch")
        with ThreadPoolExecutor(1) as aside:
            upgrade = aside.submit(INSTALLED.upgrade, database)
            while not upgrade.done():
                one, meanwhile = trained(runs=1, events=4, points=40)
                pipe.publish(meanwhile)
                producers += one
                until(lambda: upgrade.done() or pipe.status()["events"] == pipe.published, "applied, or upgraded")
            upgrade.result()
        applied = pipe.status()["events"]
        pipe.publish(events[half:])
        report = pipe.settled(120)
    finally:
        pipe.close()
    assert revision(database) != before
    assert half < applied < pipe.published, "it was at work before, during and after"
    assert (report["dead_letters"], report["events"]) == ({}, pipe.published)
    compare(pipe, producers)
