"""10 000 tags, in a creation and in a batch: all of them are in MLflow, or the answer says the limit, and none is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.api.calls import RUNS, V1, Calls, good, locs, problem
from tests.waiting import until

if TYPE_CHECKING:
    from tests.api.servers import Stored

COUNT = 10_000
TAGS = {f"tag{number}": f"v{number}" for number in range(COUNT)}
PAIRS = [{"key": key, "value": value} for key, value in TAGS.items()]
SECONDS = 120.0


def test_a_run_and_an_experiment_are_created_with_10_000_tags(calls: Calls, stored: Stored) -> None:
    answer = calls.post(V1, {"name": "many", "tags": TAGS})
    assert answer.status_code in (201, 202)
    home = answer.json()
    assert home["tags"] == TAGS
    answer = calls.post(RUNS, {"experiment_id": home["id"], "tags": TAGS})
    assert answer.status_code in (201, 202)
    run = answer.json()
    assert run["tags"] == TAGS
    assert calls.shown(run)["tags"] == TAGS
    until(lambda: stored.tags(run["id"]) == TAGS, "the run's tags are in MLflow", SECONDS)
    assert stored.experiment_tags(home["id"]) == TAGS
    assert good(calls.get(f"{V1}/{home['id']}"))["tags"] == TAGS


def test_a_batch_sets_10_000_tags(calls: Calls, stored: Stored) -> None:
    run = calls.fresh_run()
    answer = calls.post(f"{RUNS}/{run['id']}/log-batch", {"tags": PAIRS})
    assert (answer.status_code, answer.json()["accepted"]) == (202, COUNT)
    assert calls.shown(run)["tags"] == TAGS
    until(lambda: stored.tags(run["id"]) == TAGS, "the tags are in MLflow", SECONDS)
    assert calls.shown(run)["tags"] == TAGS


def test_more_than_the_limit_is_refused_whole(untouched: tuple[Calls, dict[str, Any]]) -> None:
    calls, run = untouched
    path = f"{RUNS}/{run['id']}/log-batch"
    assert locs(calls.post(path, {"tags": [*PAIRS, {"key": "one", "value": "more"}]})) == [["body"]]
    long = [{"key": one["key"], "value": one["value"] * 20} for one in PAIRS]
    assert problem(calls.post(path, {"tags": long}), 413)["type"] == "urn:matih:problem:request-too-large"
    assert calls.shown(run)["tags"] == run["tags"]
