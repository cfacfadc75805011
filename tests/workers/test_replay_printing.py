"""What a replay says of events that Kafka has no more: where they may still be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matih_workers.replay import printing

if TYPE_CHECKING:
    import pytest

FILLED = {
    "events": 3,
    "metrics": 0,
    "mode": "fill",
    "refused": {},
    "refused_records": [],
    "gone": {"2": "0 to 9"},
    "topic": "events",
}
MENDED = {
    "missing": 0,
    "lost": {"2": "0 to 9"},
    "former_topics": {},
    "partitions": {},
    "topic": "events",
    "dry_run": True,
}


def test_the_archive_is_named_where_none_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    printing.replay({**FILLED, "archive": None})
    printing.mending({**MENDED, "archive": None})
    _, gone, lost, _ = capsys.readouterr().out.splitlines()
    assert "retention took them: if there is an archive, add --archive ARCHIVE" in gone
    assert "Kafka has them no more: if there is an archive, add --archive ARCHIVE" in lost


def test_what_the_archive_does_not_have_either(capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"archive": "s3://bucket/archive"}
    printing.replay(FILLED | given)
    printing.mending(MENDED | given)
    _, gone, lost, _ = capsys.readouterr().out.splitlines()
    for line in (gone, lost):
        assert line.endswith(", and the archive s3://bucket/archive does not have them")
        assert "--archive" not in line
