"""The calls of MLflow's API that reading needs, all of one question within one time-out."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

from matih_tracking.mlflow_http import Answer
from matih_tracking.reading.errors import NotReadable, ReadsUnavailable
from matih_tracking.reading.rest import limits
from matih_tracking.reading.rest.answers import TimedOut, meaning, no_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matih_tracking.mlflow_http import MlflowHttp

View = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]
_SOME_PAGES: Final = 2


class Calls:
    """One question's calls. What they return is MLflow's JSON.

    Each raises ReadsUnavailable and NotReadable.
    """

    def __init__(self, http: MlflowHttp, seconds: float) -> None:
        self._http = http
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def experiment(self, mlflow_id: str) -> dict[str, Any] | None:
        """The experiment with MLflow's number, deleted or not."""
        found = self._get("experiments/get", experiment_id=mlflow_id)
        return None if found is None else dict(found["experiment"])

    def experiment_by_name(self, name: str) -> dict[str, Any] | None:
        """The experiment with this name in MLflow, deleted or not."""
        found = self._get("experiments/get-by-name", experiment_name=name)
        return None if found is None else dict(found["experiment"])

    def experiments(self, view: View = "ALL", wanted: str = "") -> Iterator[dict[str, Any]]:
        """The experiments that fit the filter `wanted`."""
        body = {"view_type": view, "filter": wanted, "max_results": limits.PAGE}
        return self._pages("experiments/search", body, "experiments", limits.EXPERIMENTS_MAX)

    def any_experiment(self) -> None:
        """The smallest question that asks the database too."""
        self._ask("POST", "/experiments/search", {"max_results": 1})

    def run(self, mlflow_run_id: str) -> dict[str, Any] | None:
        """The run with MLflow's id, deleted or not."""
        found = self._get("runs/get", run_id=mlflow_run_id)
        return None if found is None else dict(found["run"])

    def runs(
        self,
        experiments: Sequence[str],
        view: View = "ALL",
        wanted: str = "",
        order_by: Sequence[str] = (),
        most: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Runs of experiments (MLflow's numbers) that fit the filter: all, or the first `most` in this order."""
        found, page = 0, min(most or limits.PAGE, limits.PAGE)
        together = limits.EXPERIMENTS_PER_SEARCH if most is None else max(1, len(experiments))
        for start in range(0, len(experiments), together):
            named = list(experiments[start : start + together])
            body = {"experiment_ids": named, "filter": wanted, "run_view_type": view, "max_results": page}
            ordered = {**body, "order_by": list(order_by)} if order_by else body
            for run in self._pages("runs/search", ordered, "runs", None if most else limits.RUNS_MAX - found):
                yield run
                found += 1
                if found == most:
                    return

    def history(self, mlflow_run_id: str, key: str) -> Iterator[dict[str, Any]]:
        """All points of a metric."""
        query = {"run_id": mlflow_run_id, "metric_key": key, "max_results": limits.POINTS_PAGE}
        return self._pages("metrics/get-history", query, "metrics", limits.POINTS_MAX)

    def _pages(self, path: str, query: dict[str, Any], name: str, most: int | None) -> Iterator[dict[str, Any]]:
        """The items of all pages, `most` at most."""
        seen, pages = 0, 0
        token: str | None = None
        while True:
            asked = query if token is None else {**query, "page_token": token}
            try:
                found = self._get(path, **asked) if name == "metrics" else self._ask("POST", f"/{path}", asked)
            except TimedOut as error:
                if pages < _SOME_PAGES:
                    raise
                raise NotReadable(f"after {seen} {name} {error}; {limits.REMEDY}") from error
            items = (found or {}).get(name, [])
            seen, pages = seen + len(items), pages + 1
            if most is not None and seen > most:
                raise NotReadable(f"there are more than {most} {name}, too many for MLflow's API: {limits.REMEDY}")
            yield from items
            token = (found or {}).get("next_page_token")
            if not token:
                return

    def _get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", f"/{path}?{urlencode(query)}")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self._bounded(method, path, body)
        if isinstance(answer, Answer):
            return meaning(answer, self._http.base)
        raise no_answer(answer, self._http.base, self._seconds) from answer

    def _bounded(self, method: str, path: str, body: object) -> Answer | BaseException:
        """Asks in a thread of its own, as nothing else bounds the time that a name server takes."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return TimeoutError()
        answers: SimpleQueue[Answer | BaseException] = SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._http.send(method, path, left, body))
            except BaseException as error:  # noqa: BLE001 - raised by who waits for the answer
                answers.put(error)

        try:
            Thread(target=ask, name="matih-read", daemon=True).start()
            return answers.get(timeout=left)
        except Empty:
            return TimeoutError()
        except RuntimeError as error:
            raise ReadsUnavailable(f"MLflow at {self._http.base} can't be asked: {error}") from error
