"""Real API processes on the session's servers, for the tests of what they answer."""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.api.calls import Calls
from tests.api.servers import Bench, Stored

from matih_kafka.admin import create_topics
from matih_kafka.settings import KafkaSettings
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_local.system import LocalSystem


@pytest.fixture(scope="session")
def api_url(local_system: LocalSystem) -> str:
    """Where the API answers, in open mode, with Kafka, PostgreSQL, MLflow and a worker behind it."""
    local_system.start("kafka", "postgres", "mlflow", "worker", "api")
    return local_system.api.url


@pytest.fixture(scope="session")
def http(api_url: str) -> Iterator[httpx.Client]:
    """A client of it that names no tenant."""
    with httpx.Client(base_url=api_url, timeout=20.0) as client:
        yield client


@pytest.fixture(scope="session")
def untouched(http: httpx.Client) -> tuple[Calls, dict[str, Any]]:
    """Calls and a run for requests that are refused: it stays as it is."""
    calls = Calls(http, f"t-{os.urandom(5).hex()}")
    return calls, calls.fresh_run()


@pytest.fixture
def calls(http: httpx.Client) -> Calls:
    """Calls for a tenant that nobody else has."""
    return Calls(http, f"t-{os.urandom(5).hex()}")


@pytest.fixture(scope="module")
def shared_bench(
    local_system: LocalSystem, kafka: str, mlflow_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A topic of its own for the tests of a module; they start the worker and the APIs."""
    assert mlflow_url
    topic = f"test.{secrets.token_hex(6)}.events.v1"
    asyncio.run(create_topics(KafkaSettings(bootstrap_servers=kafka), catalogue(topic)))
    made = Bench(local_system, topic, tmp_path_factory.mktemp("api"))
    yield made
    made.close()


@pytest.fixture
def stored(local_system: LocalSystem) -> Stored:
    return Stored(local_system)
