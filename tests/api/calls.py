"""The API's calls, as short as tests want them."""

from __future__ import annotations

from typing import Any

import httpx
from tests.waiting import until

V1 = "/api/v1/experiments"
RUNS = f"{V1}/runs"
ML = "/api/v1/ml/experiments"
SHOWN, ON_ITS_WAY = 201, 202


class Calls:
    """One tenant's calls; `get` and the like say the tenant, `http` is the client that says none."""

    def __init__(self, http: httpx.Client, tenant: str) -> None:
        self.http = http
        self.tenant = tenant

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **rest: Any) -> httpx.Response:
        """Any call, with the tenant in its header."""
        return self.http.request(method, path, headers={"X-Tenant-ID": self.tenant, **(headers or {})}, **rest)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None, **params: Any) -> httpx.Response:
        return self.call("POST", path, headers, json=body, params=params)

    def patch(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None, **params: Any
    ) -> httpx.Response:
        return self.call("PATCH", path, headers, json=body, params=params)

    def delete(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.call("DELETE", path, headers)

    def experiment(self, name: str = "churn", family: str = V1, **more: Any) -> dict[str, Any]:
        """An experiment that MLflow shows."""
        return made(self.post(family, {"name": name, **more}))

    def run(self, experiment_id: str, **more: Any) -> dict[str, Any]:
        """A run that MLflow shows."""
        return made(self.post(RUNS, {"experiment_id": experiment_id, **more}))

    def fresh_run(self, **more: Any) -> dict[str, Any]:
        """A run in the tenant's experiment `churn`, which is made."""
        return self.run(self.experiment()["id"], **more)

    def log(self, run: dict[str, Any], metrics: Any = None, params: Any = None, tags: Any = None) -> None:
        """Logs, and waits until MLflow shows it."""
        body = {"metrics": pairs(metrics), "params": pairs(params), "tags": pairs(tags)}
        answer = self.post(f"{RUNS}/{run['id']}/log-batch", body, wait=True)
        assert answer.status_code == 200, answer.text

    def ended(self, run: dict[str, Any], status: str = "finished") -> None:
        """Ends a run."""
        assert self.post(f"{RUNS}/{run['id']}/end", status=status).status_code == 200

    def shown(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run as v1 shows it."""
        return good(self.get(f"{RUNS}/{run['id']}"))


def pairs(some: Any) -> list[dict[str, Any]]:
    """A dict as log-batch has it; a list is left as it is."""
    return [{"key": key, "value": value} for key, value in some.items()] if isinstance(some, dict) else some or []


def good(answer: httpx.Response) -> Any:
    """The body of a 200."""
    assert answer.status_code == 200, answer.text
    return answer.json()


def made(answer: httpx.Response) -> Any:
    """The body of a creation, once MLflow shows what was made: a slow machine answers 202 before that."""
    assert answer.status_code in (SHOWN, ON_ITS_WAY), answer.text
    found = answer.json()
    if answer.status_code == SHOWN:
        return found
    url, headers = answer.request.url.join(answer.headers["location"]), answer.request.headers
    tenant = {key: headers[key] for key in ("x-tenant-id",) if key in headers}
    shown = until(lambda: _shown(httpx.get(url, headers=tenant, timeout=20).json()), f"{url} in MLflow")
    return {key: shown.get(key, value) for key, value in found.items()}


def _shown(found: Any) -> Any:
    return found if found.get("artifact_location") or found.get("url") else None


def problem(answer: httpx.Response, status: int) -> Any:
    """The body of an error, which is a problem of RFC 9457 with all its members."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:matih:problem:")
    assert body["instance"] == answer.request.url.path
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    assert all(set(error) == {"loc", "msg"} for error in body["errors"])
    return body


def locs(answer: httpx.Response) -> list[list[Any]]:
    """Where a 422 says that the request is wrong."""
    return [error["loc"] for error in problem(answer, 422)["errors"]]


__all__ = ["ML", "RUNS", "V1", "Calls", "good", "locs", "made", "pairs", "problem"]
