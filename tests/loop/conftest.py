"""The whole pipe on real servers: these tests kill its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.loop.pipe import Pipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matih_local.system import LocalSystem


@pytest.fixture
def pipe(local_system: LocalSystem, tmp_path: Path) -> Iterator[Pipe]:
    """The session's system with all its parts, and everything running again afterwards."""
    local_system.start()
    pipe = Pipe(local_system, tmp_path)
    yield pipe
    pipe.close()
    local_system.start()
