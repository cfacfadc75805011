"""The worker on this machine: the same `matih worker` as anywhere, on this system's Kafka and MLflow's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_local.own_server import OwnServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_local.home import Home


class Worker(OwnServer):
    """Carries events from Kafka to MLflow. It is ready as soon as it runs: it waits for MLflow's tables by itself."""

    name = "worker"
    module = "matih_workers"
    ready_page = "/healthz"
    needs: tuple[str, ...] = ("kafka",)
    uses: tuple[str, ...] = ("postgres", "mlflow", "schema-registry")
    stop_seconds = 30.0

    def __init__(self, home: Home, brokers: str, store_uri: str, settings: Mapping[str, str]) -> None:
        super().__init__(home)
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": brokers,
            "MATIH_STORE_URI": store_uri,
            "MATIH_WORKER_PORT": str(self._port),
            "MATIH_WORKER_DATADIR": str(self._folder),
            **settings,
        }
