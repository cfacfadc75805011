"""Journals for tests: every test that takes `journal_mode` runs on mapped and on written segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matih_tracking.journal.writer import JournalWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUN_ID = "0123456789abcdef" * 2


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(params=["mmap", "write"])
def journal_mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make_writer(spool: Path, journal_mode: str) -> Iterator[Callable[..., JournalWriter]]:
    """Makes journals with small segments, so that they rotate often; all are closed in the end."""
    writers = []

    def make(**options: Any) -> JournalWriter:
        options = {"journal": journal_mode, "first_segment_bytes": 1, "max_segment_bytes": 1 << 16, **options}
        writers.append(JournalWriter.create(spool, RUN_ID, **options))
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()


@pytest.fixture
def writer(make_writer: Callable[..., JournalWriter]) -> JournalWriter:
    return make_writer()
