"""Kafka and PostgreSQL in containers of the images that docker-compose.yml has; skipped where no Docker answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import psycopg
import pytest
import yaml
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from tests.ports import free_ports
from tests.waiting import until
from tests.workers.views import SqlBench

from matih_kafka.admin import check_reachable
from matih_kafka.errors import BrokerUnavailable
from matih_kafka.settings import KafkaSettings
from matih_local import mlflow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
SECONDS = 120.0
"""For a container's start; its image is there by then."""


@pytest.fixture(scope="session")
def containers() -> None:
    """Skips what needs containers where there are none."""
    try:
        docker.from_env().ping()
    except DockerException as error:
        pytest.skip(f"no Docker answers here: {error}")


@pytest.fixture(scope="session")
def kafka(containers: None) -> Iterator[str]:
    """The bootstrap servers of the image's broker, with compose's settings but for its addresses."""
    (port,) = free_ports(1)  # clients are sent to it, so it has to be known before the broker starts
    container = DockerContainer(SERVICES["kafka"]["image"]).with_bind_ports(9092, port)
    url = f"{container.get_container_host_ip()}:{port}"
    addresses = {
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"INSIDE://localhost:19092,OUTSIDE://{url}",
    }
    for name, value in (SERVICES["kafka"]["environment"] | addresses).items():
        container.with_env(name, value)
    with container:
        until(lambda: is_reachable(url), "Kafka's container answers", SECONDS)
        yield url


def is_reachable(url: str) -> bool:
    try:
        asyncio.run(check_reachable(KafkaSettings(bootstrap_servers=url)))
    except BrokerUnavailable:
        return False
    return True


@pytest.fixture(scope="session")
def database(containers: None) -> Iterator[str]:
    """The URI of MLflow's database on the image's server."""
    container = DockerContainer(SERVICES["postgres"]["image"]).with_exposed_ports(5432)
    with container.with_env("POSTGRES_DB", "mlflow").with_env("POSTGRES_PASSWORD", "of-a-test"):
        place = f"{container.get_container_host_ip()}:{container.get_exposed_port(5432)}"
        address = f"://postgres:of-a-test@{place}/mlflow"
        until(lambda: lets_in(f"postgresql{address}"), "PostgreSQL's container answers", SECONDS)
        mlflow_schema.main(f"postgresql+psycopg{address}")
        yield f"postgresql+psycopg{address}"


def lets_in(uri: str) -> bool:
    try:
        psycopg.connect(uri, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def bench(database: str) -> Iterator[SqlBench]:
    """The SQL store on the container's database."""
    bench = SqlBench(database)
    yield bench
    bench.store.close()
