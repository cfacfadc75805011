"""Fills MLflow's tables on PostgreSQL with many runs, as the worker would have written them, without writing each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from matih_schemas import identity, tags

if TYPE_CHECKING:
    from collections.abc import Iterator

TENANT = "bench"
NEWEST = 1_700_000_000_000
SEED = "SELECT setseed(0.5)"
RUN_UUID = "md5(%(name)s || i)"

RUNS = f"""
INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
                  source_version, lifecycle_stage, artifact_uri, experiment_id)
SELECT {RUN_UUID}, 'run-' || i, 'UNKNOWN', '', '', 'unknown', CASE WHEN i %% 10 = 0 THEN 'FAILED' ELSE 'FINISHED' END,
       %(newest)s - i * 1000, %(newest)s - i * 1000 + (random() * 1e6)::int, '', 'active',
       'mlflow-artifacts:/1/' || {RUN_UUID} || '/artifacts', %(experiment)s
FROM generate_series(1, %(runs)s) i
"""
TAGS = f"""
INSERT INTO tags (key, value, run_uuid)
SELECT key, value, {RUN_UUID} FROM generate_series(1, %(runs)s) i, LATERAL (VALUES
    ('matih.run.' || {RUN_UUID}, '1'), ('matih.run_id', {RUN_UUID}), ('matih.tenant_id', %(tenant)s),
    ('matih.experiment_id', %(experiment_id)s), ('mlflow.runName', 'run-' || i), ('mlflow.user', 'somebody'),
    ('matih.applied.' || left({RUN_UUID}, 16), '1000'), ('mlflow.source.git.commit', md5('c' || i)),
    ('matih.status', '1700000000000,2,1700000001000,' || md5('e' || i)), ('team', 't' || i %% 7)) AS tag (key, value)
"""
PARAMS = f"""
INSERT INTO params (key, value, run_uuid)
SELECT 'p' || p, CASE WHEN p < 5 THEN random()::text ELSE (i %% (p + 3))::text END, {RUN_UUID}
FROM generate_series(1, %(runs)s) i, generate_series(0, 9) p
"""
LATEST = f"""
INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
SELECT 'm' || m, random(), %(newest)s - i * 1000 + 999, 999, i %% 1000 = 0, {RUN_UUID}
FROM generate_series(1, %(runs)s) i, generate_series(0, 9) m
"""
POINTS = f"""
INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)
SELECT 'm0', random(), %(newest)s + step, step, false, {RUN_UUID}
FROM generate_series(%(first)s::int, %(last)s::int) i, generate_series(1, %(points)s) step
"""


@dataclass(frozen=True)
class Filled:
    """What was written: an experiment of MLflow's with so many runs; the first ones have histories of `m0`.

    Attributes:
        histories: (number of runs, points of each), from the first run on.
    """

    mlflow_id: str
    name: str
    runs: int
    histories: tuple[tuple[int, int], ...] = ()

    @property
    def experiment_id(self) -> str:
        """Our id."""
        return identity.experiment_id(TENANT, self.name)

    def run_uuid(self, number: int) -> str:
        """Of the run with this number, from 1 on, the newest first."""
        import hashlib

        return hashlib.md5(f"{self.name}{number}".encode(), usedforsecurity=False).hexdigest()


def fill(uri: str, name: str, runs: int, histories: tuple[tuple[int, int], ...] = ()) -> Filled:
    """Makes an experiment with so many runs of 10 metrics, params and tags each, and some histories."""
    from mlflow import MlflowClient

    experiment_id = identity.experiment_id(TENANT, name)
    labels = {tags.EXPERIMENT_ID: experiment_id, tags.TENANT_ID: TENANT, tags.experiment_lookup(experiment_id): "1"}
    number = MlflowClient(uri).create_experiment(f"{TENANT}/{name}", tags=labels)
    given = {"name": name, "newest": NEWEST, "runs": runs, "experiment": int(number), "tenant": TENANT}
    with psycopg.connect(uri.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(SEED)
        for statement in (RUNS, TAGS, PARAMS, LATEST):
            connection.execute(statement, {**given, "experiment_id": experiment_id})
        for extent in _extents(histories):
            connection.execute(POINTS, {**given, **extent})
        connection.execute("VACUUM ANALYZE")
    return Filled(number, name, runs, histories)


def _extents(histories: tuple[tuple[int, int], ...]) -> Iterator[dict[str, int]]:
    first = 1
    for runs, points in histories:
        yield {"first": first, "last": first + runs - 1, "points": points}
        first += runs
