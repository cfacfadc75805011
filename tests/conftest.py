"""Real servers for all tests: one Kafka, PostgreSQL and MLflow per session, started when a test first asks."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from typing import TYPE_CHECKING

import hypothesis
import pytest

from matih_kafka.admin import create_topics
from matih_kafka.settings import KafkaSettings
from matih_local.system import LocalSystem
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREIGN = ("KAFKA_", "MATIH_", "MLFLOW_", "SCHEMA_REGISTRY_")
KEPT = ("MATIH_CACHE_DIR", "MATIH_MAVEN_REPO")


def pytest_configure() -> None:
    """A user's own brokers and servers are never written to: what points at them goes before any test is read."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) and name not in KEPT:
            del os.environ[name]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # A time that an example may take would be a timing asserted: a loaded machine fails it.
    hypothesis.settings.register_profile("matih", deadline=None)
    hypothesis.settings.load_profile("matih")
    # Where a test names no spool and no broker: not the user's own state, and nobody's broker.
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="matih-tests-")
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    # A shell without job control starts what runs behind it with SIGINT ignored, and every child inherits that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Whatever was left in that state goes with the tests."""
    shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _environment_of_its_own() -> Iterator[None]:
    """What a test leaves in the environment (a tracker marks MATIH_RUN_ID as used) is gone for the next."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def local_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """The session's own system in a MATIH_HOME of its own. Nothing runs until a part is started; all ends with it."""
    with LocalSystem(tmp_path_factory.mktemp("home")) as system:
        yield system
    shutil.rmtree(system.postgres.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(local_system: LocalSystem) -> str:
    """The bootstrap servers of a real broker."""
    local_system.start("kafka")
    return local_system.kafka.url


@pytest.fixture
def events_topic(kafka: str) -> str:
    """The name of a fresh events topic; it and its dead-letter twin are there, as the catalogue wants them."""
    name = f"test.{secrets.token_hex(6)}.events.v1"
    settings = KafkaSettings(bootstrap_servers=kafka)
    asyncio.run(create_topics(settings, catalogue(name)))
    return name


@pytest.fixture(scope="session")
def registry_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A system whose only part in use is the schema registry; a test that stops it starts it again."""
    with LocalSystem(tmp_path_factory.mktemp("registry"), schema_registry=True) as system:
        yield system


@pytest.fixture
def schema_registry(registry_system: LocalSystem) -> str:
    """The URL of a real schema registry's Confluent API."""
    registry_system.start("schema-registry")
    assert registry_system.schema_registry is not None
    return registry_system.schema_registry.url


@pytest.fixture
def postgres(local_system: LocalSystem) -> str:
    """The SQLAlchemy URI of a fresh, empty database."""
    local_system.start("postgres")
    return local_system.postgres.create_database(f"test_{secrets.token_hex(6)}")


@pytest.fixture(scope="session")
def mlflow_url(local_system: LocalSystem) -> str:
    """The URL of a running MLflow tracking server on PostgreSQL; one for the session, so give experiments new names."""
    local_system.start("mlflow")
    return local_system.mlflow.url
