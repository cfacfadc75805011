"""The store on MLflow's own tables in PostgreSQL or SQLite."""

from matih_workers.stores.mlflow_sql.store import MlflowSqlStore

__all__ = ["MlflowSqlStore"]
