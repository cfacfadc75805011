"""The REST API on this machine: the same `matih api` as anywhere, on this system's Kafka and MLflow's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_local.own_server import OwnServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_local.home import Home
    from matih_local.kafka import Kafka
    from matih_local.mlflow_server import MlflowServer
    from matih_local.postgres import Postgres


class Api(OwnServer):
    """Answers requests for this machine only: nobody has to log in, unless MATIH_HOME has tokens.

    It is ready when it takes writes; `/api/v1` is at its `url`.
    """

    name = "api"
    module = "matih_api"
    ready_page = "/readyz"
    needs: tuple[str, ...] = ("kafka", "postgres")
    uses: tuple[str, ...] = ("mlflow", "worker", "schema-registry")
    stop_seconds = 15.0

    def __init__(
        self,
        home: Home,
        kafka: Kafka,
        postgres: Postgres,
        mlflow: MlflowServer,
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(home)
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.url,
            "MATIH_HOME": str(home.path),
            "MATIH_API_TRACKING_URI": postgres.url,
            "MATIH_API_MLFLOW_URL": mlflow.url,
            "MATIH_API_PORT": str(self._port),
            "MATIH_API_DATADIR": str(self._folder),
            **settings,
        }
