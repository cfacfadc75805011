"""The part of MLflow's tables that is read, as MLflow's migrations leave them.

Source: mlflow/store/tracking/dbmodels/models.py of the releases in `KNOWN_REVISIONS`.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

KNOWN_REVISIONS: Final = {
    "1b5f0d9ad7c1": "3.10",
    "c3d6457b6d8a": "3.11",
    "7d34483879f0": "3.12",
    "da6fb0208061": "3.13",
    "b7e4c1a90f23": "3.14",
    "6f8d9c3b2a1e": "3.15",
    "b7e2c1a4d9f3": "3.16",
    "dc11669786a5": "3.17",
    "f4a9b2c7d1e6": "3.18",
}
"""Alembic revision -> MLflow release whose tables were compared with these."""
GREATEST: Final = 1.7976931348623157e308
"""What MLflow's tables hold for infinity."""
ACTIVE: Final = "active"
DELETED: Final = "deleted"
UNENDED: Final = ("RUNNING", "SCHEDULED")
"""Statuses of runs without an end: MLflow leaves the time of an earlier end where it is."""
WORKSPACE: Final = "default"
"""The workspace that is read: the worker writes no other, and MLflow's server shows no other unless asked."""

_metadata = sa.MetaData()

alembic_version = sa.Table("alembic_version", _metadata, sa.Column("version_num", sa.String))

experiments = sa.Table(
    "experiments",
    _metadata,
    sa.Column("experiment_id", sa.Integer),
    sa.Column("name", sa.String),
    sa.Column("workspace", sa.String),
    sa.Column("artifact_location", sa.String),
    sa.Column("lifecycle_stage", sa.String),
    sa.Column("creation_time", sa.BigInteger),
    sa.Column("last_update_time", sa.BigInteger),
)

experiment_tags = sa.Table(
    "experiment_tags",
    _metadata,
    sa.Column("key", sa.String),
    sa.Column("experiment_id", sa.Integer),
    sa.Column("value", sa.Text),
)

runs = sa.Table(
    "runs",
    _metadata,
    sa.Column("run_uuid", sa.String),
    sa.Column("name", sa.String),
    sa.Column("status", sa.String),
    sa.Column("start_time", sa.BigInteger),
    sa.Column("end_time", sa.BigInteger),
    sa.Column("lifecycle_stage", sa.String),
    sa.Column("artifact_uri", sa.String),
    sa.Column("experiment_id", sa.Integer),
)


def _by_key_and_run(name: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(name, _metadata, sa.Column("key", sa.String), sa.Column("run_uuid", sa.String), *columns)


def _point_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("value", sa.Double),
        sa.Column("timestamp", sa.BigInteger),
        sa.Column("step", sa.BigInteger),
        sa.Column("is_nan", sa.Boolean),
    )


tags = _by_key_and_run("tags", sa.Column("value", sa.String))
params = _by_key_and_run("params", sa.Column("value", sa.String))
metrics = _by_key_and_run("metrics", *_point_columns())
latest_metrics = _by_key_and_run("latest_metrics", *_point_columns())
