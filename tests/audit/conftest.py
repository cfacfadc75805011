"""An archive of a topic of its own, on the real broker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.audit.test_recovery import KEY
from tests.audit.world import World

from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(kafka: str, events_topic: str, tmp_path: Path) -> Iterator[World]:
    """The archiver is started by the test."""
    world = World(kafka, events_topic, tmp_path)
    yield world
    world.close()


@pytest.fixture
def storage(tmp_path: Path) -> LocalFolder:
    """Where no Kafka is configured."""
    (tmp_path / "key").write_text(KEY.secret())
    os.environ["MATIH_AUDIT_KEY_FILE"] = str(tmp_path / "key")
    del os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    return LocalFolder(tmp_path / "archive")
