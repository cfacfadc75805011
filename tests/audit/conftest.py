"""An archive of a topic of its own, on the real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.audit.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(kafka: str, events_topic: str, tmp_path: Path) -> Iterator[World]:
    """The archiver is started by the test."""
    world = World(kafka, events_topic, tmp_path)
    yield world
    world.close()
