"""Journals that earlier releases wrote are read for ever. What lies in data/ is only ever added to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from matih_tracking.journal.entries import encode

from .make_golden import ENTRIES, describe

DATA = Path(__file__).with_name("data")
JOURNALS = sorted(DATA.glob("format-*/*"))


def test_there_are_journals_of_every_format():
    assert [path.relative_to(DATA).parts[0] for path in JOURNALS] == ["format-1"] * 2


@pytest.mark.parametrize("journal", JOURNALS, ids=lambda path: str(path.relative_to(DATA)))
def test_it_is_read_as_it_was_when_it_was_written(journal, tmp_path):
    copy = shutil.copytree(journal, tmp_path / "journal")
    assert describe(copy) == json.loads((journal / "expected.json").read_text())


def test_they_hold_what_was_logged():
    closed, killed = (json.loads((journal / "expected.json").read_text()) for journal in JOURNALS)
    payloads = [encode(entry).hex() for entry in ENTRIES]
    assert closed["payloads"] == payloads
    assert killed["payloads"] == payloads[:-1]
    assert (closed["lost_bytes"], killed["lost_bytes"] > 0) == (0, True)
