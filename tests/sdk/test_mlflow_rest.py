"""Looking at a run through a real MLflow server's REST API, and at servers that do not answer."""

from __future__ import annotations

import secrets
import socket
import threading
import time

import pytest
from mlflow import MlflowClient

from matih_schemas import tags
from matih_schemas.identity import new_run_id
from matih_tracking.mlflow_rest import RunInMlflow


def test_a_run_is_found_by_its_tag_and_its_progress_seen(mlflow_url):
    client, run_id, name = MlflowClient(mlflow_url), new_run_id(), f"rest {secrets.token_hex(4)}"
    looking = RunInMlflow(mlflow_url, "acme", name, run_id)
    assert looking.look(5) is None  # no experiment yet
    experiment = client.create_experiment(f"acme/{name}")
    assert looking.look(5) is None  # no run yet
    run = client.create_run(experiment, tags={tags.run_lookup(run_id): "1"}).info.run_id
    seen = looking.look(5)
    assert seen is not None
    assert seen.url == f"{mlflow_url}/#/experiments/{experiment}/runs/{run}"

    mark = tags.applied("p" * 16)
    later = threading.Timer(0.3, client.set_tag, (run, mark, "7"))
    later.start()
    assert looking.wait(lambda found: tags.marks(found.tags).get("p" * 16, -1) >= 7, timeout=20)
    later.join()
    assert not looking.wait(lambda found: tags.marks(found.tags).get("p" * 16, -1) >= 8, timeout=0.3)


def test_a_run_that_has_our_own_id_needs_no_search(mlflow_url):
    client = MlflowClient(mlflow_url)
    run = client.create_run("0").info.run_id
    seen = RunInMlflow(mlflow_url, "default", "no such experiment", run).look(5)
    assert seen is not None
    assert seen.url.endswith(f"/runs/{run}")


@pytest.fixture
def silent_server():
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_never_answers_costs_no_more_than_the_timeout(silent_server):
    looking = RunInMlflow(silent_server, "default", "e", new_run_id())
    start = time.monotonic()
    assert looking.wait(lambda _: True, timeout=0.5) is False
    assert 0.5 <= time.monotonic() - start < 30


def test_no_server_and_no_http():
    assert RunInMlflow("http://127.0.0.1:9", "default", "e", new_run_id()).look(1) is None
    assert RunInMlflow("http://127.0.0.1:9", "default", "e", new_run_id()).wait(lambda _: True, 0.1) is False
    assert RunInMlflow("sqlite:///x.db", "default", "e", new_run_id()).wait(lambda _: True, 60) is False
