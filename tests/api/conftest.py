"""The real API process on real servers, for the tests of what it answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.api.calls import Calls

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
