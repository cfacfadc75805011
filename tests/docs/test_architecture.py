"""Every file and symbol that the documentation names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PLACE = re.compile(r"`((?:schemas|producers|workers|local|tests|tools|docs)/[\w./]+\.\w+)(?::(\w+))?`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def places(page: Path) -> set[tuple[str, str]]:
    return set(PLACE.findall(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_place_that_is_named_exists(page: Path) -> None:
    for name, symbol in places(page):
        path = ROOT / name
        assert path.exists(), name
        if symbol:
            defined = re.compile(rf"^\s*(?:async def|def|class) {symbol}\b|^{symbol}\b", re.MULTILINE)
            assert defined.search(path.read_text()), f"{name}:{symbol}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_architecture_names_the_whole_way() -> None:
    named = {name for name, _ in places(ROOT / "docs" / "architecture.md")}
    assert len(named) > 60
    assert any(name.startswith("producers/matih_api/pending/") for name in named)
    assert any(name.startswith("producers/matih_tracking/reading/") for name in named)
