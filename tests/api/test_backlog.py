"""More is acknowledged than an API may keep in memory, and no worker takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.api.servers import Bench, Stored, fresh, ok
from tests.waiting import until

if TYPE_CHECKING:
    import httpx

E, R = "/api/v1/experiments", "/api/v1/experiments/runs"
LARGE = {f"t{number}": "x" * 5000 for number in range(20)}


def fill(client: httpx.Client, experiment: str) -> tuple[set[str], httpx.Response]:
    """Makes runs until one is refused; those that were acknowledged, and the refusal."""
    made: set[str] = set()
    while True:
        answer = client.post(R, json={"experiment_id": experiment, "tags": LARGE})
        if answer.status_code == 503:
            return made, answer
        made.add(ok(answer, 201, 202)["id"])


@pytest.mark.soak
def test_a_full_memory_refuses_with_503_and_takes_again_once_a_worker_has_caught_up(
    shared_bench: Bench, stored: Stored
) -> None:
    api = shared_bench.api(MATIH_API_PENDING_BYTES=str(1 << 20), MATIH_API_VISIBLE_TIMEOUT="0.1")
    api.ready()
    experiment = ok(api.client.post(E, json={"name": fresh("backlog")}), 201, 202)["id"]
    made, refusal = fill(api.client, experiment)
    assert refusal.json()["type"] == "urn:matih:problem:backlog-too-long"
    assert int(refusal.headers["retry-after"]) > 0
    assert 5 < len(made) < 200
    for run in made:
        assert ok(api.client.get(f"{R}/{run}"), 200)["tags"] == LARGE, "what was acknowledged is still found"
    shared_bench.pipe.start()
    until(lambda: api.client.post(R, json={"experiment_id": experiment}).status_code in (201, 202), "it takes again")
    until(lambda: stored.runs(experiment) >= made, "all that was acknowledged is in MLflow")
