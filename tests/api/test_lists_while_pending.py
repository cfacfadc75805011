"""Lists while the worker stands still: their pages are all of what there is, each once, sorted as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.api.servers import Bench, Stored, fresh, ok
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

E, R, ML = "/api/v1/experiments", "/api/v1/experiments/runs", "/api/v1/ml/experiments"
OLD, NEW, LIMIT = 7, 5, 3


@pytest.fixture(scope="module")
def whole(shared_bench: Bench) -> Bench:
    shared_bench.pipe.start()
    shared_bench.api(MATIH_API_VISIBLE_TIMEOUT="0.3").ready()
    return shared_bench


@pytest.fixture
def bench(whole: Bench) -> Iterator[Bench]:
    """The worker may be stopped; it goes on afterwards."""
    yield whole
    whole.continue_worker()


def pages(bench: Bench, path: str, what: str, **params: Any) -> tuple[list[list[str]], int]:
    """The ids of each page until an empty one, and the total, which all of them say."""
    found: list[list[str]] = []
    totals = set()
    while not found or found[-1]:
        more = {**params, "limit": LIMIT, "offset": LIMIT * len(found)}
        body = ok(bench.next().get(path, params=more), 200)
        found.append([one.get("run_id") or one["id"] for one in body[what]])
        totals.add(body["total"])
    assert len(totals) == 1
    return found[:-1], totals.pop()


def made(bench: Bench, home: str, count: int) -> list[str]:
    return [ok(bench.next().post(R, json={"experiment_id": home}), 201, 202)["id"] for _ in range(count)]


def test_the_pages_of_a_list_are_all_runs_each_once_while_some_are_on_their_way(bench: Bench, stored: Stored) -> None:
    home = ok(bench.next().post(E, json={"name": fresh("paged")}), 201, 202)["id"]
    old = made(bench, home, OLD)
    until(lambda: stored.runs(home) == set(old), "the old ones are in MLflow")
    bench.stop_worker()
    wanted = old + made(bench, home, NEW)
    ok(bench.next().delete(f"{R}/{wanted.pop(2)}"), 204)
    for path, what, params in ((R, "runs", {"experiment_id": home}), (f"{ML}/{home}/runs", "runs", {})):
        found, total = pages(bench, path, what, **params)
        assert sorted(one for page in found for one in page) == sorted(wanted)
        assert [len(page) for page in found] == [3, 3, 3, 2]
        assert total == OLD + NEW - 1
    assert stored.runs(home) == set(old)


def test_the_pages_of_a_list_are_all_experiments_each_once_while_some_are_on_their_way(
    bench: Bench, stored: Stored
) -> None:
    name = fresh("many")

    def experiments(first: int, count: int) -> list[str]:
        some = range(first, first + count)
        return [ok(bench.next().post(E, json={"name": f"{name}.{n}"}), 201, 202)["id"] for n in some]

    old = experiments(0, OLD)
    until(lambda: len(stored.experiments(name)) == OLD, "the old ones are in MLflow")
    bench.stop_worker()
    wanted = old + experiments(OLD, NEW)
    ok(bench.next().delete(f"{E}/{wanted.pop(2)}"), 204)
    found, total = pages(bench, E, "experiments", search=name)
    assert sorted(one for page in found for one in page) == sorted(wanted)
    assert total == OLD + NEW - 1


def test_a_list_is_sorted_by_the_metrics_and_params_that_are_on_their_way(bench: Bench, stored: Stored) -> None:
    home = ok(bench.next().post(E, json={"name": fresh("sorted")}), 201, 202)["id"]
    runs = made(bench, home, 4)
    for number, run in enumerate(runs):
        ok(bench.next().post(f"{R}/{run}/log-metrics", json={"metrics": {"m": number}, "step": 0}), 202)
    until(lambda: all(stored.points(run) for run in runs), "the metrics are in MLflow")
    bench.stop_worker()
    ok(bench.next().post(f"{R}/{runs[0]}/log-metrics", json={"metrics": {"m": 2.5}, "step": 1}), 202)
    for number, run in enumerate(reversed(runs)):
        ok(bench.next().post(f"{R}/{run}/log-params", json={"params": {"p": str(number)}}), 202)
    by_metric = [runs[3], runs[0], runs[2], runs[1]]
    for sort, order, wanted in (("metrics.m", "desc", by_metric), ("params.p", "asc", runs[::-1])):
        found, total = pages(bench, f"{ML}/{home}/runs", "runs", sort_by=sort, order=order)
        assert [one for page in found for one in page] == wanted
        assert total == len(wanted)
