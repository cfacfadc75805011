"""Brings a database to the installed MLflow's tables: `python -m matih_local.mlflow_schema URI`.

Run before its server starts, so that this happens once, and not in a request.
"""

from __future__ import annotations

import sys

import sqlalchemy
from mlflow.store.db import utils


def main(uri: str) -> None:
    """Makes all tables in an empty database, upgrades those of an older MLflow."""
    engine = sqlalchemy.create_engine(uri)
    if sqlalchemy.inspect(engine).has_table("alembic_version"):
        utils._upgrade_db(engine)  # type: ignore[no-untyped-call]  # what `mlflow db upgrade` does
    else:
        utils._initialize_tables(engine)  # type: ignore[no-untyped-call]  # as the server would
    engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
