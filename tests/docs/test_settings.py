"""The settings' page is what the classes say, and names every variable that the code reads."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import settings_table  # noqa: E402

VARIABLE = re.compile(r"[\"'](MATIH_[A-Z_]+[A-Z])[\"']")
# Set for our own child processes, not for users.
INTERNAL: set[str] = set()


def test_the_page_is_made_from_the_classes() -> None:
    assert settings_table.PAGE.read_text() == settings_table.page(), "run: python tools/settings_table.py"


def test_every_variable_that_the_code_names_is_on_the_page() -> None:
    named = set()
    for folder in ("schemas", "producers", "workers", "local"):
        for path in (ROOT / folder).rglob("*.py"):
            named |= set(VARIABLE.findall(path.read_text()))
    assert len(named) > 10
    assert not {name for name in named - INTERNAL if f"`{name}`" not in settings_table.PAGE.read_text()}
