"""The store that writes through MLflow's public client: for any tracking URI, a server's or a database's."""

from matih_workers.stores.mlflow_client.store import MlflowClientStore

__all__ = ["MlflowClientStore"]
