"""A topic with Confluent's framing, its schema registered, and an environment that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.registry.topic import ConfluentTopic
from tests.workers.doorkeeper import Doorkeeper

from matih_kafka.registry.client import RegistryClient
from matih_kafka.registry.settings import RegistrySettings
from matih_kafka.registry.subjects import register
from matih_schemas.topics import Framing, catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def confluent(
    schema_registry: str,
    kafka: str,
    events_topic: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ConfluentTopic]:
    """All processes of the test write and read this topic; the ids they learn are in `cache`."""
    client = RegistryClient(RegistrySettings(url=schema_registry, timeout=30))
    register(client, catalogue(events_topic, framing=Framing.CONFLUENT))
    with Doorkeeper(schema_registry) as door:
        url = f"{door.url}{urlsplit(schema_registry).path}"
        topic = ConfluentTopic(kafka, events_topic, url, tmp_path / "schema-ids", door)
        for name, value in topic.environment().items():
            monkeypatch.setenv(name, value)
        yield topic
