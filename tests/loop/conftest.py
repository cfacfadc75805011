"""The whole pipe on real servers: these tests kill its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.loop.pipe import PARTS, Pipe

from matih_local.runner import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matih_local.system import LocalSystem


@pytest.fixture
def pipe(local_system: LocalSystem, tmp_path: Path) -> Iterator[Pipe]:
    """The session's system with the parts on the way, and everything that ran running again afterwards."""
    before = [name for name, runner in local_system.runners.items() if runner.state is State.RUNNING]
    local_system.start(*PARTS)
    pipe = Pipe(local_system, tmp_path)
    yield pipe
    pipe.close()
    local_system.start(*PARTS, *before)
