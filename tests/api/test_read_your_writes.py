"""Two API processes behind a round robin: what one has acknowledged the other shows right after."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.servers import ApiServer, Bench, Stored, fresh, ok
from tests.waiting import until

if TYPE_CHECKING:
    import httpx

STEPS = 20
TS = 1_700_000_000_000


@dataclass
class Run:
    """What a run has to be."""

    name: str
    tags: dict[str, str]
    status: str = "running"
    deleted: bool = False
    params: dict[str, str] = field(default_factory=dict)
    points: list[tuple[str, float, int, int]] = field(default_factory=list)

    def latest(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for key, value, _, _ in sorted(self.points, key=lambda point: (point[2], point[3], point[1])):
            found[key] = value
        return found


@dataclass
class Experiment:
    """What an experiment has to be."""

    name: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    deleted: bool = False
    runs: dict[str, Run] = field(default_factory=dict)


class Walk:
    """A seeded random walk through all writes; after each one everything that it touched is read on the other API."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.random = random.Random(seed)
        self.prefix = fresh("walk")
        self.experiments: dict[str, Experiment] = {}
        self.count = 0

    def step(self) -> None:
        self.count += 1
        some = [one for one in self.experiments if not self.experiments[one].deleted]
        action = self.random.choice(ACTIONS) if some else Walk.create_experiment
        which = self.random.choice(some) if some else ""
        action(self, which)
        self.check_lists()

    @property
    def client(self) -> httpx.Client:
        return self.bench.next()

    def create_experiment(self, _: str) -> None:
        name = f"{self.prefix}.{self.count}"
        body = {"name": name, "description": f"d{self.count}", "tags": {"a": str(self.count)}}
        made = ok(self.client.post("/api/v1/experiments", json=body), 201, 202)
        self.experiments[made["id"]] = Experiment(name, body["description"], {"a": str(self.count)})
        taken = ok(self.client.post("/api/v1/experiments", json=body), 409)
        assert taken["id"] == made["id"]
        self.check_experiment(made["id"])

    def change_experiment(self, which: str) -> None:
        one = self.experiments[which]
        one.name, one.tags = f"{self.prefix}.{self.count}n", {**one.tags, "b": str(self.count)}
        before = ok(self.client.get(f"/api/v1/experiments/{which}"), 200)["name"]
        changed = {"name": one.name, "tags": {"b": str(self.count)}}
        assert ok(self.client.patch(f"/api/v1/experiments/{which}", json=changed), 200)["name"] == one.name
        self.check_experiment(which)
        for name in (before, one.name):  # the old name is an alias for ever
            assert ok(self.client.post("/api/v1/experiments", json={"name": name}), 409)["id"] == which

    def delete_experiment(self, which: str) -> None:
        ok(self.client.delete(f"/api/v1/experiments/{which}"), 204)
        ok(self.client.delete(f"/api/v1/experiments/{which}"), 204)
        self.experiments[which].deleted = True
        self.check_experiment(which)
        self.check_lists()
        ok(self.client.post("/api/v1/experiments/runs", json={"experiment_id": which}), 409)
        ok(self.client.post("/api/v1/experiments", json={"name": self.experiments[which].name}), 409)
        if self.random.random() < 0.8:
            assert ok(self.client.post(f"/api/v1/experiments/{which}/restore"), 200)["lifecycle_stage"] == "active"
            self.experiments[which].deleted = False
            self.check_experiment(which)

    def create_run(self, which: str) -> None:
        body = {"experiment_id": which, "name": f"r{self.count}", "tags": {"t": "0"}}
        made = ok(self.client.post("/api/v1/experiments/runs", json=body), 201, 202)
        self.experiments[which].runs[made["id"]] = Run(f"r{self.count}", {"t": "0"})
        self.check_run(made["id"])

    def log(self, which: str) -> None:
        run_id = self.run_of(which)
        run = self.experiments[which].runs[run_id]
        points = [("m", self.count / 8, self.random.randrange(5), TS + self.count), ("n", -1.5, 1, TS + self.count)]
        body = {
            "metrics": [{"key": key, "value": value, "step": step, "timestamp": at} for key, value, step, at in points],
            "params": [{"key": f"p{self.random.randrange(4)}", "value": str(self.count)}],
            "tags": [{"key": "t", "value": str(self.count)}],
        }
        answer = self.client.post(f"/api/v1/experiments/runs/{run_id}/log-batch", json=body)
        if run.deleted:
            ok(answer, 409)
            return
        ok(answer, 202)
        run.points += points
        run.tags["t"] = str(self.count)
        run.params.setdefault(body["params"][0]["key"], str(self.count))
        self.check_run(run_id)

    def end(self, which: str) -> None:
        run_id = self.run_of(which)
        run = self.experiments[which].runs[run_id]
        status = self.random.choice(["finished", "failed", "killed"])
        answer = self.client.post(f"/api/v1/experiments/runs/{run_id}/end", params={"status": status})
        if run.deleted:
            ok(answer, 409)
            return
        ok(answer, 200)
        run.status = status
        self.check_run(run_id)

    def delete_or_restore_run(self, which: str) -> None:
        run_id = self.run_of(which)
        run = self.experiments[which].runs[run_id]
        run.deleted = not run.deleted
        path = f"/api/v1/experiments/runs/{run_id}"
        for _ in range(2):
            if run.deleted:
                ok(self.client.delete(path), 204)
            else:
                ok(self.client.post(f"{path}/restore"), 200)
        self.check_run(run_id)
        body = {"metrics": {"probe": 1.0}, "timestamp": TS, "step": 0}
        ok(self.client.post(f"{path}/log-metrics", json=body), 409 if run.deleted else 202)
        if not run.deleted:
            run.points.append(("probe", 1.0, 0, TS))
            self.check_run(run_id)

    def run_of(self, which: str) -> str:
        if not self.experiments[which].runs:
            self.create_run(which)
        return self.random.choice(list(self.experiments[which].runs))

    def check_experiment(self, which: str) -> None:
        one = self.experiments[which]
        found = ok(self.client.get(f"/api/v1/experiments/{which}"), 200)
        stage = "deleted" if one.deleted else "active"
        wanted = (one.name, one.description, one.tags, stage)
        assert (found["name"], found["description"], found["tags"], found["lifecycle_stage"]) == wanted

    def check_run(self, run_id: str) -> None:
        run = next(one.runs[run_id] for one in self.experiments.values() if run_id in one.runs)
        found = ok(self.client.get(f"/api/v1/experiments/runs/{run_id}"), 200)
        wanted = (run.name, run.status, run.tags, run.params, run.latest())
        assert (found["name"], found["status"], found["tags"], found["params"], found["metrics"]) == wanted

    def check_lists(self) -> None:
        found = ok(
            self.client.get("/api/v1/experiments", params={"search": self.prefix, "lifecycle_stage": "all"}), 200
        )
        listed = {one["id"]: (one["name"], one["lifecycle_stage"] == "deleted") for one in found["experiments"]}
        assert listed == {one: (kept.name, kept.deleted) for one, kept in self.experiments.items()}
        assert found["total"] == len(listed) == len(found["experiments"])
        which = next(reversed(self.experiments))
        if not self.experiments[which].deleted:
            runs = ok(self.client.get("/api/v1/experiments/runs", params={"experiment_id": which}), 200)
            active = {run_id for run_id, run in self.experiments[which].runs.items() if not run.deleted}
            assert {run["id"] for run in runs["runs"]} == active
            assert (len(runs["runs"]), runs["total"]) == (len(active), len(active))

    def check_all(self) -> None:
        for which, one in self.experiments.items():
            self.check_experiment(which)
            for run_id in one.runs:
                self.check_run(run_id)
        self.check_lists()

    def arrives(self, stored: Stored) -> None:
        """In MLflow's tables is just that."""
        wanted = {run_id: run for one in self.experiments.values() for run_id, run in one.runs.items()}
        until(
            lambda: all(stored.points(run_id) == sorted_points(run) for run_id, run in wanted.items()),
            "all points are in MLflow",
        )
        with suppress(AssertionError):
            until(lambda: self.stored(stored) == self.wanted(), "MLflow shows all else", 30, pause=0.2)
        assert self.stored(stored) == self.wanted()

    def wanted(self) -> list[Any]:
        some = self.experiments.items()
        runs = {run_id: run_wanted(run, one) for _, one in some for run_id, run in one.runs.items()}
        return [sorted((one.name, STAGES[one.deleted]) for _, one in some), runs, {w: set(one.runs) for w, one in some}]

    def stored(self, stored: Stored) -> list[Any]:
        runs = {run_id: None for one in self.experiments.values() for run_id in one.runs}
        shown = {run_id: (stored.run(run_id), stored.params(run_id), stored.tags(run_id)) for run_id in runs}
        return [
            sorted(stored.experiments(self.prefix)),
            shown,
            {which: stored.runs(which) for which in self.experiments},
        ]


STAGES = {True: "deleted", False: "active"}


def run_wanted(run: Run, home: Experiment) -> tuple[Any, ...]:
    return (run.name, run.status.upper(), STAGES[run.deleted or home.deleted]), run.params, run.tags


def sorted_points(run: Run) -> list[Any]:
    return sorted(set(run.points), key=lambda point: (point[0], point[2], point[3], point[1]))


ACTIONS = (
    [Walk.create_experiment, Walk.change_experiment, Walk.delete_experiment]
    + [Walk.create_run, Walk.end, Walk.delete_or_restore_run] * 2
    + [Walk.log] * 4
)


@pytest.fixture(scope="module")
def two(shared_bench: Bench) -> Bench:
    """Two APIs and a worker; a creation hardly waits to be visible."""
    shared_bench.pipe.start()
    for _ in range(2):
        shared_bench.api(MATIH_API_VISIBLE_TIMEOUT="0.3")
    for api in shared_bench.apis:
        api.ready()
    return shared_bench


def test_what_one_api_has_acknowledged_the_other_shows(two: Bench, stored: Stored) -> None:
    walk = Walk(two, seed=7)
    for phase in range(3):
        if phase == 1:
            two.stop_worker()
        for _ in range(STEPS):
            walk.step()
        two.continue_worker()
    walk.check_all()
    walk.arrives(stored)
    walk.check_all()


def test_of_many_that_make_one_experiment_at_once_on_both_one_has_made_it(two: Bench) -> None:
    clients = [two.next() for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as pool:
        for _ in range(4):
            body = {"name": fresh("race")}
            answers = list(pool.map(lambda client, body=body: client.post("/api/v1/experiments", json=body), clients))
            made = [answer.json()["id"] for answer in answers if answer.status_code in (201, 202)]
            assert len(made) == 1
            refusals = [ok(answer, 409)["id"] for answer in answers if answer.status_code not in (201, 202)]
            assert refusals == made * (len(clients) - 1)


def test_who_waits_on_the_other_api_is_told_that_mlflow_shows_it(two: Bench) -> None:
    home = ok(two.next().post("/api/v1/experiments", json={"name": fresh("wait")}), 201, 202)["id"]
    run = ok(two.next().post("/api/v1/experiments/runs", json={"experiment_id": home}), 201, 202)["id"]
    for api in two.apis:

        def waited(api: ApiServer = api) -> bool:
            path = f"/api/v1/experiments/runs/{run}/log-metrics"
            return api.client.post(path, params={"wait": True}, json={"metrics": {"m": 1}}).status_code == 200

        until(waited, "it is to be seen while one waits")


@pytest.mark.soak
def test_an_api_that_was_killed_finds_all_of_it_again(two: Bench, stored: Stored) -> None:
    two.stop_worker()
    walk = Walk(two, seed=11)
    for _ in range(STEPS):
        walk.step()
    for api in two.apis:
        api.kill()
        api.start()
        api.ready()
        walk.check_all()
        for _ in range(4):
            walk.step()
    two.continue_worker()
    walk.check_all()
    walk.arrives(stored)
