"""MATIH_API_PROCESSES=2: one address, its metrics summed, and a process that dies is replaced."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import httpx
import pytest
from tests.api.servers import ApiServer, Bench, fresh, ok
from tests.waiting import until

E, R = "/api/v1/experiments", "/api/v1/experiments/runs"


@pytest.mark.soak
def test_two_processes_answer_as_one_and_one_that_is_killed_is_replaced(shared_bench: Bench) -> None:
    api = shared_bench.api(MATIH_API_PROCESSES="2", MATIH_API_VISIBLE_TIMEOUT="0")
    api.ready()
    until(lambda: len(workers(api)) == 2, "two processes")
    write_and_read(api, 10)
    assert count(api) == 10
    assert {count(api) for _ in range(10)} == {10}  # whichever of them is asked
    before = set(workers(api))
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(set(workers(api)) - before) == 1 and len(workers(api)) == 2, "another process")
    until(lambda: all(answers(api) for _ in range(10)), "it answers")
    write_and_read(api, 10)
    assert count(api) == 20


def write_and_read(api: ApiServer, times: int) -> None:
    """Each request on a connection of its own: the kernel gives them to one process or the other."""
    for _ in range(times):
        made = ok(httpx.post(api.url + E, json={"name": fresh("two")}, timeout=30), 202)
        assert ok(httpx.get(f"{api.url}{E}/{made['id']}", timeout=30), 200)["name"] == made["name"]


def answers(api: ApiServer) -> bool:
    try:
        return httpx.get(f"{api.url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def count(api: ApiServer) -> int:
    """Experiments made, as the metrics say."""
    text = httpx.get(f"{api.url}/metrics").text
    some = [line for line in text.splitlines() if "requests_total" in line and 'method="POST"' in line]
    found = [float(line.rsplit(" ", 1)[1]) for line in some if re.search(r'route="/api/v1/experiments"', line)]
    return int(sum(found))


def workers(api: ApiServer) -> list[int]:
    """The processes that answer: children of the one that was started, by their command line."""
    assert api.process is not None
    children = Path(f"/proc/{api.process.pid}/task/{api.process.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
