"""What the tests of the one-machine system share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.local.shell import Matih

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def matih(tmp_path: Path) -> Matih:
    return Matih(tmp_path / "home")
