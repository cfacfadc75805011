"""Looks at one run through MLflow's REST API: `import mlflow` takes seconds, and this has to answer within one."""

from __future__ import annotations

import time
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_schemas import tags
from matih_schemas.identity import mlflow_experiment_name
from matih_tracking.mlflow_http import MlflowHttp

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_FIRST: Final = 0.01
_POLL_MAX: Final = 0.25
_CALL_SECONDS: Final = 2.0
_LOOK_AGAIN_SECONDS: Final = 1.0


class SeenRun(NamedTuple):
    """A run as MLflow shows it.

    Attributes:
        url: its page.
        tags: all of its tags.
    """

    url: str
    tags: dict[str, str]


class RunInMlflow:
    """Finds one run in MLflow and reads its tags. Whatever goes wrong is the same answer: it is not seen."""

    def __init__(self, tracking_uri: str, tenant: str, experiment_name: str, run_id: str) -> None:
        self._uri = tracking_uri
        self._opened: MlflowHttp | None = None
        self._experiment = mlflow_experiment_name(tenant, experiment_name)
        self._run_id = run_id
        self._mlflow_id: str | None = None
        self._look_again_at = 0.0
        self.last_seen: SeenRun | None = None

    @property
    def readable(self) -> bool:
        """Whether the tracking URI is one that can be asked."""
        return self._uri.startswith(("http://", "https://"))

    @property
    def _http(self) -> MlflowHttp:
        """Made when first asked for: an address that is none is not the constructor's to complain about."""
        if self._opened is None:
            self._opened = MlflowHttp(self._uri)
        return self._opened

    def may_look_again(self) -> bool:
        """Whether a second has passed since this said so last."""
        now = time.monotonic()
        if now < self._look_again_at:
            return False
        self._look_again_at = now + _LOOK_AGAIN_SECONDS
        return True

    def wait(self, ready: Callable[[SeenRun], bool], timeout: float) -> bool:
        """Looks again and again until `ready` or for `timeout` seconds.

        The looking is done by a thread of its own, as nothing else bounds the time that a name server takes.
        """
        if not self.readable:
            return False
        deadline = time.monotonic() + timeout
        answers: list[bool] = []
        thread = Thread(target=self._poll, args=(ready, deadline, answers), name="matih-wait", daemon=True)
        thread.start()
        thread.join(timeout)
        return bool(answers)

    def look(self, timeout: float) -> SeenRun | None:
        """The run, None if MLflow can't be reached within `timeout` seconds or does not have it."""
        try:
            found = self._get(self._mlflow_id, timeout) if self._mlflow_id else self._find(timeout)
        except Exception:  # noqa: BLE001  # refused, timed out, a proxy's page, half an answer: it is not seen
            return None
        if found is not None:
            self.last_seen = found
        return found

    def _poll(self, ready: Callable[[SeenRun], bool], deadline: float, answers: list[bool]) -> None:
        pause = _POLL_FIRST
        while (left := deadline - time.monotonic()) > 0:
            seen = self.look(min(left, _CALL_SECONDS))
            if seen is not None and ready(seen):
                answers.append(True)
                return
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(pause * 1.5, _POLL_MAX)

    def _find(self, timeout: float) -> SeenRun | None:
        """By our own id, which a store that writes MLflow's tables gives the run, else by the tag that bears it."""
        seen = self._get(self._run_id, timeout)
        if seen is not None:
            self._mlflow_id = self._run_id
            return seen
        from urllib.parse import quote

        experiment = self._call("GET", f"/experiments/get-by-name?experiment_name={quote(self._experiment)}", timeout)
        if experiment is None:
            return None
        query = {
            "experiment_ids": [experiment["experiment"]["experiment_id"]],
            "filter": f"tags.`{tags.run_lookup(self._run_id)}` = '1'",
            "max_results": 1,
        }
        found = (self._call("POST", "/runs/search", timeout, query) or {}).get("runs", [])
        if not found:
            return None
        self._mlflow_id = found[0]["info"]["run_id"]
        return self._seen(found[0])

    def _get(self, mlflow_id: str, timeout: float) -> SeenRun | None:
        answer = self._call("GET", f"/runs/get?run_id={mlflow_id}", timeout)
        return None if answer is None else self._seen(answer["run"])

    def _seen(self, run: Any) -> SeenRun:
        info = run["info"]
        url = f"{self._http.base}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}"
        return SeenRun(url, {tag["key"]: tag["value"] for tag in run.get("data", {}).get("tags", [])})

    def _call(self, method: str, path: str, timeout: float, body: object = None) -> Any:
        """The answer's JSON, None for what does not exist.

        Raises:
            OSError: no answer, or another error than 404.
            ValueError: the answer is no JSON.
        """
        import json  # takes longer to import than all of the SDK

        answer = self._http.send(method, path, timeout, body)
        if answer.status == 404:
            return None
        if answer.status >= 300:
            raise OSError(f"{self._http.base} answered {answer.status}")
        return json.loads(answer.body)
