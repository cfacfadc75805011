"""The API while MLflow, the worker or Kafka are dead or hang, and while it is killed itself."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.api.servers import ApiServer, Bench, Stored, fresh, ok
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_local.system import LocalSystem

E, R, ML = "/api/v1/experiments", "/api/v1/experiments/runs", "/api/v1/ml/experiments"
BOUND = 10.0
"""Seconds that no answer may take, on however loaded a machine: a hang, not a slow answer."""
TS = 1_700_000_000_000


@pytest.fixture(scope="module")
def whole(shared_bench: Bench) -> Bench:
    """A worker and two APIs."""
    shared_bench.pipe.start()
    for _ in range(2):
        shared_bench.api(MATIH_API_VISIBLE_TIMEOUT="0.3")
    for api in shared_bench.apis:
        api.ready()
    return shared_bench


@pytest.fixture
def served(whole: Bench, local_system: LocalSystem) -> Iterator[Bench]:
    """Whatever was killed runs again for the next test."""
    yield whole
    local_system.start("kafka", "postgres", "mlflow")
    if whole.pipe.process is None:
        whole.pipe.start()


def problem(answer: httpx.Response, status: int, kind: str) -> None:
    ok(answer, status)
    assert answer.json()["type"] == f"urn:matih:problem:{kind}"
    assert status != 503 or int(answer.headers["retry-after"]) > 0


def write(client: httpx.Client, experiment: str, value: float) -> dict[str, Any]:
    """A run with all that there is; its id and what has to be in MLflow."""
    body = {"experiment_id": experiment, "name": f"r{value}", "tags": {"t": "1"}}
    run = ok(client.post(R, json=body), 201, 202)["id"]
    ok(client.post(f"{R}/{run}/log-metrics", json={"metrics": {"m": value}, "step": 3, "timestamp": TS}), 202)
    ok(client.post(f"{R}/{run}/log-params", json={"params": {"p": value}}), 202)
    batch = {"metrics": [{"key": "m", "value": value, "timestamp": TS}], "tags": [{"key": "t", "value": "2"}]}
    ok(client.post(f"{R}/{run}/log-batch", json=batch), 202)
    ok(client.post(f"{R}/{run}/end"), 200)
    points = [("m", value, 0, TS), ("m", value, 3, TS)]
    return {"id": run, "run": (f"r{value}", "FINISHED", "active"), "points": points, "params": {"p": str(value)}}


def arrived(stored: Stored, wanted: dict[str, Any]) -> None:
    run = wanted["id"]
    until(lambda: (stored.run(run) or ("", "", ""))[1] == "FINISHED", f"run {run} is in MLflow, ended", pause=0.2)
    assert stored.run(run) == wanted["run"]
    assert stored.points(run) == wanted["points"]
    assert (stored.params(run), stored.tags(run)) == (wanted["params"], {"t": "2"})


def test_with_mlflow_and_the_worker_dead_writes_are_taken_and_all_is_there_afterwards(
    served: Bench, stored: Stored, local_system: LocalSystem
) -> None:
    client, name = served.apis[0].client, fresh("outage")
    known = ok(client.post(E, json={"name": f"{name}.known", "tags": {"a": "b"}}), 201, 202)["id"]
    before = write(client, known, 0.5)
    arrived(stored, before)
    served.pipe.end(signal.SIGKILL)
    local_system.kill("postgres")
    made = ok(client.post(E, json={"name": f"{name}.new", "description": "d", "tags": {"c": "d"}}), 202)
    assert (made["name"], made["description"], made["tags"]) == (f"{name}.new", "d", {"c": "d"})
    wanted = [write(client, known, 1.5), write(client, made["id"], 2.5)]
    # A run that this API has met, and one that no API of this topic has: the worker judges.
    ok(client.post(f"{R}/{before['id']}/log-metrics", json={"metrics": {"late": 1}, "timestamp": TS}), 202)
    ok(client.post(f"{R}/{'0' * 31}e/log-metrics", json={"metrics": {"m": 1}}), 202)
    assert ok(client.post(f"{R}/{'0' * 31}e/end"), 200)["duration_seconds"] is None
    for gone, status in ((wanted[0]["id"], 200), ("0" * 31 + "d", 202)):
        ok(client.delete(f"{R}/{gone}"), 204)
        problem(client.post(f"{R}/{gone}/log-metrics", json={"metrics": {"m": 1}}), 409, "run-deleted")
        ok(client.post(f"{R}/{gone}/restore"), status)
        ok(client.post(f"{R}/{gone}/log-metrics", json={"metrics": {"restored": 1}, "timestamp": TS}), 202)
    wanted[0]["points"].append(("restored", 1.0, 0, TS))
    for path in (E, f"{E}/{known}", f"{R}/{before['id']}", f"{R}?experiment_id={known}", ML, f"{ML}/{known}/runs"):
        problem(client.get(path), 503, "tracking-backend-unavailable")
    ok(client.post(f"{R}/{before['id']}/log-metrics", json={"metrics": {"late": "no"}}), 422)
    ok(httpx.get(f"{served.apis[0].url}/healthz"), 200)
    assert ok(httpx.get(f"{served.apis[0].url}/readyz"), 200)["warnings"]
    local_system.start("postgres")
    until(lambda: client.get(f"{R}/{wanted[1]['id']}").status_code == 200, "reads are answered again")
    for run in wanted:  # no worker yet: from the topic alone
        assert ok(client.get(f"{R}/{run['id']}"), 200)["params"] == run["params"]
    served.pipe.start()
    for run in wanted:
        arrived(stored, run)
    before["points"].insert(0, ("late", 1.0, 0, TS))
    arrived(stored, before)
    assert stored.experiments(name) == [(f"{name}.known", "active"), (f"{name}.new", "active")]
    shown = ok(client.get(f"{E}/{made['id']}"), 200)
    assert (shown["description"], shown["tags"]) == ("d", {"c": "d"})


@pytest.mark.soak
def test_an_api_that_starts_in_the_outage_and_another_one_take_writes_to_what_was_made_before(
    served: Bench, stored: Stored, local_system: LocalSystem
) -> None:
    one, other = served.apis[:2]
    name = fresh("known")
    home, gone, idle = (ok(one.client.post(E, json={"name": f"{name}.{what}"}), 201, 202)["id"] for what in "abc")
    before = write(one.client, home, 0.5)
    arrived(stored, before)
    off = ok(one.client.post(R, json={"experiment_id": home}), 201, 202)["id"]
    ok(one.client.delete(f"{R}/{off}"), 204)
    # Then a process that starts anew has nothing of it pending.
    until(lambda: served.pipe.committed() == served.pipe.on_topic(), "all is applied and committed", pause=0.2)
    assert len(stored.experiments(name)) == 3
    served.pipe.end(signal.SIGKILL)
    local_system.kill("postgres")
    one.kill()
    one.start()
    one.ready()
    wanted = []
    for value, client in ((1.5, one.client), (2.5, other.client)):
        wanted.append(write(client, home, value))
        changed = ok(client.patch(f"{E}/{home}", json={"description": f"by {value}"}), 200)
        assert (changed["name"], changed["description"]) == (f"{name}.a", f"by {value}")
        ok(client.delete(f"{E}/{gone}"), 204)
        problem(client.post(R, json={"experiment_id": gone}), 409, "experiment-conflict")
    assert ok(one.client.post(f"{E}/{idle}/restore"), 200)["lifecycle_stage"] == "active"
    assert ok(one.client.post(f"{R}/{off}/restore"), 202) == {"message": "Run restored", "run_id": off}
    # What no topic and no read has told: 503, as the guide says.
    problem(one.client.post(R, json={"experiment_id": "0" * 32}), 503, "tracking-backend-unavailable")
    local_system.start("postgres")
    served.pipe.start()
    for run in wanted:
        arrived(stored, run)
    until(lambda: (stored.run(off) or ("", "", ""))[2] == "active", "the run is restored in MLflow")
    stages = [(f"{name}.a", "active"), (f"{name}.b", "deleted"), (f"{name}.c", "active")]
    until(lambda: stored.experiments(name) == stages, "the experiment is deleted in MLflow")
    assert ok(one.client.get(f"{E}/{home}"), 200)["description"] == "by 2.5"


def test_with_kafka_dead_writes_are_refused_in_time_and_whole_and_it_comes_back_by_itself(
    served: Bench, stored: Stored, local_system: LocalSystem
) -> None:
    client, name = served.apis[0].client, fresh("broker")
    home = ok(client.post(E, json={"name": name}), 201, 202)["id"]
    before = write(client, home, 0.5)
    arrived(stored, before)
    local_system.kill("kafka")
    writes = [
        ("POST", E, {"name": f"{name}.new"}),
        ("POST", R, {"experiment_id": home}),
        ("POST", f"{R}/{before['id']}/log-metrics", {"metrics": {"x": 1}}),
        ("POST", f"{R}/{before['id']}/end?status=failed", None),
        ("PATCH", f"{E}/{home}", {"description": "never"}),
        ("DELETE", f"{R}/{before['id']}", None),
    ]
    for method, path, body in writes:
        answer = client.request(method, path, json=body, timeout=BOUND)
        problem(answer, 503, "event-log-unavailable")
    assert ok(client.get(f"{R}/{before['id']}"), 200)["status"] == "finished"  # what MLflow has can be read
    problem(client.get(f"{R}/{'0' * 31}e"), 503, "event-log-unavailable")  # what it has not may be on Kafka
    ok(httpx.get(f"{served.apis[0].url}/readyz"), 503)
    local_system.start("kafka")
    served.apis[0].ready()
    after = until(lambda: again(client, home), "writes are taken again")
    arrived(stored, after)
    assert stored.runs(home) == {before["id"], after["id"]}
    assert stored.points(before["id"]) == before["points"]
    assert stored.experiments(name) == [(name, "active")]
    assert ok(client.get(f"{E}/{home}"), 200)["description"] == ""


def again(client: httpx.Client, home: str) -> dict[str, Any] | None:
    try:
        return write(client, home, 3.5)
    except AssertionError:
        return None


@pytest.mark.parametrize("hangs", ["kafka", "api"])
def test_a_client_that_gives_up_and_repeats_with_its_key_has_one_effect(
    served: Bench, stored: Stored, local_system: LocalSystem, hangs: str
) -> None:
    """While something hangs, it can't know whether it was heard."""
    api, name = served.apis[0], fresh("again")
    home = ok(api.client.post(E, json={"name": name}), 201, 202)["id"]
    run = write(api.client, home, 0.5)
    arrived(stored, run)

    def stop_or_go(number: int) -> None:
        if hangs == "api":
            api.signal(number)
        else:
            pid = local_system.runners["kafka"].pid
            assert pid is not None
            os.killpg(pid, number)

    stop_or_go(signal.SIGSTOP)
    first = [attempt(api, home, run["id"], seconds=0.5)]
    stop_or_go(signal.SIGCONT)
    until(lambda: first.append(attempt(api, home, run["id"], seconds=20)) or all(first[-1]), "the repetition is taken")
    done = first[-1]
    assert attempt(api, home, run["id"], seconds=20) == done
    until(lambda: len(stored.runs(home)) == 2, "the new run is in MLflow")
    until(lambda: len(stored.points(run["id"])) > 2, "the point is in MLflow")
    until(lambda: served.pipe.committed() > 0 and ok(api.client.get(f"{R}/{run['id']}"), 200)["metrics"], "read")
    assert [key for key, *_ in stored.points(run["id"])] == ["m", "m", "once"]
    assert stored.runs(home) == {run["id"], done[0]}
    mine = {"name": f"{name}.other"}
    answer = api.client.post(E, json=mine, headers={"Idempotency-Key": f"{home}-run"})
    problem(answer, 422, "invalid-request")


def attempt(api: ApiServer, home: str, run: str, seconds: float) -> tuple[str | None, bool]:
    """Creates a run and logs without a time, each once by its key: the run's id, and whether the point was taken."""
    with httpx.Client(base_url=api.url, trust_env=False, timeout=seconds) as client:
        made, logged = None, False
        try:
            body = {"experiment_id": home, "name": "once"}
            answer = client.post(R, json=body, headers={"Idempotency-Key": f"{home}-run"})
            made = answer.json()["id"] if answer.status_code in (201, 202) else None
        except httpx.TransportError:
            pass
        try:
            point = {"metrics": {"once": 1.0}}
            answer = client.post(f"{R}/{run}/log-metrics", json=point, headers={"Idempotency-Key": f"{home}-log"})
            logged = answer.status_code == 202
        except httpx.TransportError:
            pass
    return made, logged


class Writer(threading.Thread):
    """Writes to whichever API is next, without a pause; remembers what was acknowledged, and what had no answer."""

    def __init__(self, apis: list[ApiServer], home: str, name: str, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._urls = itertools.cycle([api.url for api in apis])
        self._home, self._stop_event = home, stop
        self._client = httpx.Client(trust_env=False, timeout=20)
        self.points: dict[str, dict[int, float]] = {}
        self.unsure: dict[str, set[int]] = {}
        self.runs_unsure = 0
        self.ended: dict[str, str] = {}
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self._stop_event.is_set():
            run = self._post(R, {"experiment_id": self._home, "tags": {"writer": self.name}})
            if run is None:
                self.runs_unsure += 1
                continue
            self._fill(run.get("id", ""))
        self._client.close()

    def _fill(self, run: str) -> None:
        if not run:
            return
        self.points[run], self.unsure[run] = {}, set()
        for step in range(20):
            if self._stop_event.is_set():
                break
            said = self._post(f"{R}/{run}/log-metrics", {"metrics": {"m": step / 4}, "step": step, "timestamp": TS})
            if said is None:
                self.unsure[run].add(step)
            elif said:
                self.points[run][step] = step / 4
        status = random.choice(["finished", "failed"])
        if self._post(f"{R}/{run}/end?status={status}", None):
            self.ended[run] = status.upper()

    def _post(self, path: str, body: Any) -> dict[str, Any] | None:
        """What was acknowledged; {} for a refusal; None without an answer."""
        try:
            answer = self._client.post(next(self._urls) + path, json=body)
        except httpx.ConnectError:
            time.sleep(0.02)  # nobody is there: not a wait for anything, only no busy loop
            return {}
        except httpx.TransportError:
            return None
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        if answer.status_code not in (429, 503):
            self.wrong.append(f"{path}: {answer.status_code} {answer.text}")
        return {} if answer.status_code == 429 else None


@pytest.mark.parametrize(
    ("processes", "kills"),
    [(2, 2), pytest.param(1, 12, marks=pytest.mark.soak), pytest.param(2, 25, marks=pytest.mark.soak)],
)
def test_apis_killed_under_load_lose_nothing_that_was_acknowledged(
    served: Bench, stored: Stored, processes: int, kills: int
) -> None:
    apis = served.apis[:processes]
    home = ok(apis[0].client.post(E, json={"name": fresh("killed")}), 201, 202)["id"]
    stop = threading.Event()
    writers = [Writer(apis, home, f"w{number}", stop) for number in range(4)]
    for writer in writers:
        writer.start()
    for number in range(kills):
        count = sum(len(points) for writer in writers for points in list(writer.points.values()))
        until(lambda more=count: sum(map(counted, writers)) > more + 25, "the writers go on")  # type: ignore[misc]
        api = apis[number % processes]
        api.kill()
        api.start()
        api.ready()
    stop.set()
    for writer in writers:
        writer.join()
    assert [wrong for writer in writers for wrong in writer.wrong] == []
    for writer in writers:
        check(writer, stored)
    known = {run for writer in writers for run in writer.points}
    extra = stored.runs(home) - known
    assert len(extra) <= sum(writer.runs_unsure for writer in writers)


def counted(writer: Writer) -> int:
    return sum(len(points) for points in list(writer.points.values()))


def check(writer: Writer, stored: Stored) -> None:
    """All that was acknowledged, and besides that only what had no answer."""
    for run, points in writer.points.items():
        until(lambda run=run, points=points: set(points) <= steps(stored, run), f"all of {run} is in MLflow")  # type: ignore[misc]
        found = stored.points(run)
        assert {step: value for _, value, step, _ in found if step in points} == points
        assert len(found) == len({step for _, _, step, _ in found})
        assert steps(stored, run) - set(points) <= writer.unsure[run]
        assert stored.tags(run) == {"writer": writer.name}
        if run in writer.ended:
            until(lambda run=run: (stored.run(run) or ("", ""))[1] == writer.ended[run], f"{run} has ended")  # type: ignore[misc]


def steps(stored: Stored, run: str) -> set[int]:
    return {step for _, _, step, _ in stored.points(run)}
