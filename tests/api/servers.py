"""Real API processes on a topic of their own, a worker that can be stopped, and clients that go round."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from tests.ports import free_ports
from tests.waiting import until
from tests.workers.pipe import Pipe

if TYPE_CHECKING:
    from matih_local.system import LocalSystem

ROOT = Path(__file__).parents[2]


class ApiServer:
    """`python -m matih_api` on a port that it keeps over restarts, in a process group of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        self._log = folder / f"api-{self.port}.log"
        self._folder = folder
        self._environment = {**os.environ, **environment, "MATIH_API_PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; `ready` waits for it."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "matih_api"],
                env=self._environment,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )

    def ready(self) -> None:
        until(lambda: self.is_ready() or self._dead(), f"the API on {self.url} is ready")
        assert not self._dead(), self.log()

    def is_ready(self) -> bool:
        """Whether it says that it is."""
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def signal(self, number: int) -> None:
        """To all its processes."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """kill -9, all its processes."""
        if self.process is not None:
            with suppress(ProcessLookupError):  # it has died by itself
                self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def close(self) -> None:
        self.client.close()
        self.kill()

    def _dead(self) -> bool:
        return self.process is None or self.process.poll() is not None


class Bench:
    """A topic, its worker, and APIs on both and on the session's MLflow. `close` ends all of it."""

    def __init__(self, system: LocalSystem, topic: str, folder: Path) -> None:
        self.system = system
        self.folder = folder
        self.pipe = Pipe(system.kafka.url, topic, system.postgres.url, folder)
        self.apis: list[ApiServer] = []
        self._turn = itertools.count()

    def api(self, **settings: str) -> ApiServer:
        """Starts one more API; `settings` are more environment variables."""
        made = ApiServer(self.folder, {**self.environment(), **settings})
        self.apis.append(made)
        made.start()
        return made

    def environment(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.pipe.brokers,
            "MATIH_EVENTS_TOPIC": self.pipe.topic,
            "MATIH_WORKER_GROUP": f"group-{self.pipe.topic}",
            "MATIH_API_TRACKING_URI": self.system.postgres.url,
            "MATIH_HOME": str(self.folder / "home"),
        }

    def next(self) -> httpx.Client:
        """The client of the next API: the round robin."""
        return self.apis[next(self._turn) % len(self.apis)].client

    def stop_worker(self) -> None:
        self._worker().send_signal(signal.SIGSTOP)

    def continue_worker(self) -> None:
        self._worker().send_signal(signal.SIGCONT)

    def close(self) -> None:
        for api in self.apis:
            api.close()
        self.pipe.close()

    def _worker(self) -> subprocess.Popen[bytes]:
        assert self.pipe.process is not None
        return self.pipe.process


class Stored:
    """What is in MLflow's own tables."""

    def __init__(self, system: LocalSystem) -> None:
        self._system = system
        self._connection: psycopg.Connection[Any] | None = None

    def points(self, run_id: str) -> list[tuple[str, float, int, int]]:
        """(key, value, step, timestamp) of a run, sorted."""
        return self._rows(
            "SELECT key, value, step, timestamp FROM metrics WHERE run_uuid = %s ORDER BY 1, 3, 4, 2", run_id
        )

    def params(self, run_id: str) -> dict[str, str]:
        return dict(self._rows("SELECT key, value FROM params WHERE run_uuid = %s", run_id))

    def tags(self, run_id: str) -> dict[str, str]:
        """The user's own."""
        found = self._rows("SELECT key, value FROM tags WHERE run_uuid = %s", run_id)
        return {key: value for key, value in found if not key.startswith(("matih.", "mlflow."))}

    def experiment_tags(self, experiment_id: str) -> dict[str, str]:
        """The user's own of an experiment of ours."""
        query = """SELECT o.key, o.value FROM experiment_tags o JOIN experiment_tags t USING (experiment_id)
            WHERE t.key = 'matih.experiment_id' AND t.value = %s"""
        found = self._rows(query, experiment_id)
        return {key: value for key, value in found if not key.startswith(("matih.", "mlflow."))}

    def run(self, run_id: str) -> tuple[str, str, str] | None:
        """(name, status, lifecycle stage)."""
        found = self._rows("SELECT name, status, lifecycle_stage FROM runs WHERE run_uuid = %s", run_id)
        return found[0] if found else None

    def runs(self, experiment_id: str) -> set[str]:
        """The runs of an experiment of ours."""
        query = """SELECT r.run_uuid FROM runs r JOIN experiment_tags t ON t.experiment_id = r.experiment_id
            WHERE t.key = 'matih.experiment_id' AND t.value = %s"""
        return {run for (run,) in self._rows(query, experiment_id)}

    def experiments(self, name: str) -> list[tuple[str, str]]:
        """(name, lifecycle stage) of those whose name begins so, sorted."""
        return self._rows("SELECT name, lifecycle_stage FROM experiments WHERE starts_with(name, %s) ORDER BY 1", name)

    def _rows(self, query: str, value: str) -> list[Any]:
        try:
            self._connection = self._connection or self._system.postgres.connect()
            return self._connection.execute(query, (value,)).fetchall()
        except psycopg.OperationalError:  # the server was another one
            self._connection = self._system.postgres.connect()
            return self._connection.execute(query, (value,)).fetchall()


def fresh(what: str) -> str:
    """A name that nobody else has."""
    return f"{what}-{secrets.token_hex(5)}"


def ok(answer: httpx.Response, *statuses: int) -> Any:
    """The answer's JSON, None without a body; fails unless the status is one of these."""
    assert answer.status_code in statuses, (
        answer.request.method,
        str(answer.request.url),
        answer.status_code,
        answer.text,
    )
    return answer.json() if answer.content else None
