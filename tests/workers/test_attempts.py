"""What the worker was at when it died is known to the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matih_workers.attempts import Attempts, FolderUnusable, open_slot
from matih_workers.records import Received

if TYPE_CHECKING:
    from pathlib import Path


def record(offset: int, partition: int = 0, value: bytes = b"v", topic: str = "t") -> Received:
    return Received(topic, partition, offset, b"k", value)


def die_over(folder: Path, *records: Received) -> None:
    """A process that is killed while it applies these: it never comes back out of `noted`."""
    with Attempts(folder).noted(records):
        note = (folder / "in-flight.json").read_bytes()
    (folder / "in-flight.json").write_bytes(note)


def test_nothing_is_suspected_at_first_and_after_what_went_well(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    with attempts.noted([record(1), record(2)]):
        assert attempts.deaths(record(1)) == 0
    assert Attempts(tmp_path).deaths(record(1)) == 0


def test_an_error_is_no_death(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), Attempts(tmp_path).noted([record(1)]):
        raise ValueError("x")
    assert Attempts(tmp_path).deaths(record(1)) == 0


def test_a_death_counts_for_all_that_were_applied_then(tmp_path: Path) -> None:
    die_over(tmp_path, record(3), record(7, 1), record(5))
    attempts = Attempts(tmp_path)
    assert [attempts.deaths(record(offset)) for offset in range(2, 7)] == [0, 1, 1, 1, 0]
    assert (attempts.deaths(record(7, 1)), attempts.deaths(record(8, 1)), attempts.deaths(record(4, 1))) == (1, 0, 0)
    assert attempts.deaths(record(4, topic="other")) == 0


def test_deaths_over_one_add_up_across_processes(tmp_path: Path) -> None:
    die_over(tmp_path, record(3), record(4), record(5))
    for deaths in (2, 3, 4):
        die_over(tmp_path, record(4))
        assert Attempts(tmp_path).deaths(record(4)) == deaths
    assert Attempts(tmp_path).deaths(record(3)) == 1
    assert Attempts(tmp_path).deaths(record(4, value=b"of a topic made anew")) == 1


def test_what_is_settled_is_no_suspect_any_more(tmp_path: Path) -> None:
    die_over(tmp_path, record(3), record(5), record(1, 1))
    attempts = Attempts(tmp_path)
    attempts.settled([record(3), record(4)])
    assert attempts.deaths(record(5)) == 1
    attempts.settled([record(5)])
    assert Attempts(tmp_path).deaths(record(5)) == 0
    assert Attempts(tmp_path).deaths(record(1, 1)) == 1


def test_a_stop_in_the_middle_is_no_death(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    with attempts.noted([record(1)]):
        attempts.let_go()
        assert Attempts(tmp_path).deaths(record(1)) == 0
    assert Attempts(tmp_path).deaths(record(1)) == 0


def test_a_file_that_is_not_ours_is_no_suspicion(tmp_path: Path) -> None:
    for name, text in (("in-flight.json", "{broken"), ("suspects.json", '[{"other": 1}]')):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert Attempts(tmp_path).deaths(record(1)) == 0


def test_two_workers_have_folders_of_their_own_and_a_restart_gets_its_own_back(tmp_path: Path) -> None:
    first, held = open_slot(tmp_path, "a/group")
    second, other = open_slot(tmp_path, "a/group")
    assert first != second
    assert first.parent.parent == tmp_path
    held.close()
    assert open_slot(tmp_path, "a/group")[0] == first
    other.close()


def test_a_folder_that_can_not_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(FolderUnusable, match="MATIH_WORKER_DATADIR"):
        open_slot(tmp_path / "file", "group")
