"""Releases of MLflow's beside the one that is installed: each in an environment of its own, made once per machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from tests.ports import free_ports
from tests.waiting import until
from tools.set_up import bootstrapped_uv, client_environment, run

from matih_local import mlflow_serve
from matih_local.cache import cache_folder
from matih_local.children import Command, clean_environment, spawn
from matih_local.health import answers
from matih_local.mlflow_server import QUIET

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class MlflowRelease:
    """MLflow as it is installed for one Python."""

    version: str
    python: Path

    def upgrade(self, database: str) -> None:
        """`mlflow db upgrade`: brings the tables of an older release to this one's."""
        done = subprocess.run(
            [self.python, "-I", "-m", "mlflow", "db", "upgrade", database],
            env=clean_environment(**QUIET),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    @contextmanager
    def server(self, database: str, folder: Path) -> Iterator[str]:
        """The URL of its server on a database, whose tables it makes if there are none.

        Args:
            database: its SQLAlchemy URI.
            folder: for artifacts and the log.
        """
        (port,) = free_ports(1)
        options = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        stores = ("--backend-store-uri", database, "--artifacts-destination", folder.as_uri())
        # As a file: matih_local is not installed there.
        arguments = (str(self.python), "-I", mlflow_serve.__file__, *options, *stores)
        child = spawn(Command(arguments, clean_environment(**QUIET), folder, folder / "mlflow.log"))
        url = f"http://127.0.0.1:{port}"
        try:
            until(
                lambda: child.exit_code() is not None or answers(f"{url}/health"), "the release's server answers", 120
            )
            assert child.exit_code() is None, (folder / "mlflow.log").read_text()
            yield url
        finally:
            child.kill()


def installed(version: str) -> MlflowRelease:
    """That release with the libraries that a user would get today; installed if it is not there yet."""
    folder = cache_folder() / f"mlflow-{version}-python{sys.version_info.major}.{sys.version_info.minor}"
    if not folder.exists():
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
        uv, environment = shutil.which("uv") or bootstrapped_uv(), client_environment()
        python = partial / "bin" / "python"
        run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, partial, env=environment)
        wanted = (f"mlflow=={version}", "psycopg[binary]")
        run(uv, "pip", "install", "--quiet", "--python", python, *wanted, env=environment)
        try:
            partial.rename(folder)
        except OSError:  # another process was quicker
            shutil.rmtree(partial)
    return MlflowRelease(version, folder / "bin" / "python")


INSTALLED = MlflowRelease(mlflow.__version__, Path(sys.executable))
"""The one that the tests themselves have."""
