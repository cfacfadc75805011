"""A spool, its writers and a shipper for each test; on the real broker, or with a topic in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.shipper.world import World

from matih_tracking.spool import SpoolKey, SpoolSettings, open_spool, spool_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool, for a Kafka that is not there."""
    return open_spool(spool_path(SpoolKey("nowhere:1", "t.events.v1"), SpoolSettings(base=tmp_path / "spools")))


@pytest.fixture
def world(kafka: str, events_topic: str, tmp_path: Path) -> Iterator[World]:
    """A spool and a topic of the test's own on the real broker. All processes end with it."""
    world = World(kafka, events_topic, tmp_path)
    yield world
    world.close()
