"""The worker on this machine: the same `matih worker` as anywhere, on this system's Kafka and MLflow's database."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from matih_local.children import Command, clean_environment
from matih_local.health import answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matih_local.home import Home


class Worker:
    """Carries events from Kafka to MLflow.

    Attributes:
        url: of its pages /healthz, /readyz and /metrics.
    """

    name = "worker"
    needs: tuple[str, ...] = ("kafka",)
    uses: tuple[str, ...] = ("postgres", "mlflow")
    stop_signal = signal.SIGTERM
    stop_seconds = 30.0

    def __init__(self, home: Home, brokers: str, store_uri: str, settings: Mapping[str, str]) -> None:
        self._home = home
        self._folder = home.folder("worker")
        self._port = home.port("worker")
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": brokers,
            "MATIH_STORE_URI": store_uri,
            "MATIH_WORKER_PORT": str(self._port),
            "MATIH_WORKER_DATADIR": str(self._folder),
            **settings,
        }
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = home.log(self.name)

    def setup(self) -> Iterator[Command]:
        """Nothing to make: its topics are Kafka's."""
        self._home.require_free_port(self.name)
        yield from ()

    def server(self) -> Command:
        """The worker in the foreground."""
        arguments = (sys.executable, "-m", "matih_workers")
        return Command(arguments, clean_environment(**self._environment), self._folder, self.log)

    def is_ready(self) -> bool:
        """Whether it runs; it waits for MLflow's tables by itself."""
        return answers(f"{self.url}/healthz")

    def settle(self) -> None:
        """Nothing to do."""
