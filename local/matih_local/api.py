"""The REST API on this machine: the same `matih api` as anywhere, on this system's Kafka and MLflow's database."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from matih_local.children import Command, clean_environment
from matih_local.health import answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matih_local.home import Home
    from matih_local.kafka import Kafka
    from matih_local.mlflow_server import MlflowServer
    from matih_local.postgres import Postgres


class Api:
    """Answers requests for this machine only: nobody has to log in, unless MATIH_HOME has tokens.

    Attributes:
        url: where `/api/v1` is.
    """

    name = "api"
    needs: tuple[str, ...] = ("kafka", "postgres")
    uses: tuple[str, ...] = ("mlflow", "worker")
    stop_signal = signal.SIGTERM
    stop_seconds = 15.0

    def __init__(
        self,
        home: Home,
        kafka: Kafka,
        postgres: Postgres,
        mlflow: MlflowServer,
        settings: Mapping[str, str],
    ) -> None:
        self._home = home
        self._folder = home.folder("api")
        self._port = home.port("api")
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.url,
            "MATIH_HOME": str(home.path),
            "MATIH_API_TRACKING_URI": postgres.url,
            "MATIH_API_MLFLOW_URL": mlflow.url,
            "MATIH_API_PORT": str(self._port),
            "MATIH_API_DATADIR": str(self._folder),
            **settings,
        }
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = home.log(self.name)

    def setup(self) -> Iterator[Command]:
        """Nothing to make."""
        self._home.require_free_port(self.name)
        yield from ()

    def server(self) -> Command:
        """The API in the foreground."""
        arguments = (sys.executable, "-m", "matih_api")
        return Command(arguments, clean_environment(**self._environment), self._folder, self.log)

    def is_ready(self) -> bool:
        """Whether it takes writes."""
        return answers(f"{self.url}/readyz")

    def settle(self) -> None:
        """Nothing to do."""
