"""MLflow's tracking server on this machine: `mlflow server` with one worker on PostgreSQL."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from matih_local.children import Command, clean_environment
from matih_local.health import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_local.home import Home
    from matih_local.postgres import Postgres

QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


class MlflowServer:
    """The tracking server: UI and REST API.

    Attributes:
        url: of the page, also the tracking URI.
    """

    name = "mlflow"
    needs: tuple[str, ...] = ("postgres",)
    uses: tuple[str, ...] = ()
    stop_signal = signal.SIGTERM
    stop_seconds = 15.0

    def __init__(self, home: Home, postgres: Postgres) -> None:
        self._home = home
        self._folder = home.folder("mlflow")
        self._port = home.port("mlflow")
        self._store_uri = postgres.url
        self._artifacts = home.folder("artifacts")
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = home.log(self.name)

    def setup(self) -> Iterator[Command]:
        """Makes or upgrades MLflow's tables once for each of its releases."""
        self._home.require_free_port(self.name)
        stamp, installed = self._folder / "schema.version", version("mlflow")
        if stamp.exists() and stamp.read_text() == installed:
            return
        yield self._python("matih_local.mlflow_schema", self._store_uri)
        stamp.write_text(installed)

    def server(self) -> Command:
        """The server in the foreground, for this machine's own names only (its default)."""
        return self._python(
            *("matih_local.mlflow_serve", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"),
            *("--backend-store-uri", self._store_uri, "--artifacts-destination", self._artifacts.as_uri()),
        )

    def is_ready(self) -> bool:
        """Whether /health answers."""
        return answers(f"{self.url}/health")

    def settle(self) -> None:
        """Nothing to do."""

    def _python(self, module: str, *arguments: str) -> Command:
        return Command((sys.executable, "-m", module, *arguments), clean_environment(**QUIET), self._folder, self.log)
