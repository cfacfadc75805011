"""The cursor: always a whole position, never one that wasn't stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_tracking.journal.cursor import CURSOR_FILE, START, Cursor, Position

NUMBERS = st.integers(0, 2**64 - 1)
POSITIONS = st.builds(Position, NUMBERS, NUMBERS, NUMBERS)


@pytest.fixture
def cursor(tmp_path):
    cursor = Cursor(tmp_path)
    yield cursor
    cursor.close()


def test_a_new_cursor_stands_at_the_start(cursor):
    assert cursor.load() == START
    assert cursor.acked == 0


@given(st.lists(POSITIONS, min_size=1, max_size=5))
def test_the_last_position_stored_is_the_one_that_all_read(tmp_path_factory, positions):
    folder = tmp_path_factory.mktemp("journal")
    cursor, reader = Cursor(folder), Cursor(folder)
    for position in positions:
        cursor.store(position)
        assert reader.load() == cursor.load() == position
        assert reader.acked == position.number
    cursor.close()
    again = Cursor(folder)
    again.store(START)
    assert reader.load() == START
    again.close()
    reader.close()


@given(st.lists(POSITIONS, min_size=2, max_size=5), st.data())
def test_half_a_write_leaves_the_position_before_it(tmp_path_factory, positions, data):
    folder = tmp_path_factory.mktemp("journal")
    cursor = Cursor(folder)
    for position in positions[:-1]:
        cursor.store(position)
    before = (folder / CURSOR_FILE).read_bytes().ljust(128, b"\0")
    cursor.store(positions[-1])
    after = (folder / CURSOR_FILE).read_bytes().ljust(128, b"\0")
    cursor.close()
    cut = data.draw(st.integers(0, 128))
    (folder / CURSOR_FILE).write_bytes(after[:cut] + before[cut:])
    reader = Cursor(folder)
    assert reader.load() in {positions[-2], positions[-1]}
    reader.close()


@given(st.integers(0, 8 * 128 - 1))
def test_a_flipped_bit_never_invents_a_position(tmp_path_factory, bit):
    folder = tmp_path_factory.mktemp("journal")
    cursor = Cursor(folder)
    stored = [Position(1, 200, 3), Position(1, 300, 5)]
    for position in stored:
        cursor.store(position)
    cursor.close()
    data = bytearray((folder / CURSOR_FILE).read_bytes().ljust(128, b"\0"))
    data[bit // 8] ^= 1 << bit % 8
    (folder / CURSOR_FILE).write_bytes(data)
    reader = Cursor(folder)
    assert reader.load() in stored
    reader.close()


def test_a_cursor_needs_its_journal(tmp_path):
    with pytest.raises(FileNotFoundError):
        Cursor(tmp_path / "gone")


def test_a_cursor_whose_folder_is_gone_says_so_and_keeps_its_position(tmp_path):
    folder = tmp_path / "journal"
    folder.mkdir()
    cursor = Cursor(folder)
    cursor.store(Position(0, 200, 4))
    (folder / CURSOR_FILE).unlink()
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        cursor.store(Position(0, 300, 5))
    assert cursor.acked == 4
    folder.mkdir()
    cursor.store(Position(0, 300, 5))
    assert cursor.is_in_place()
    cursor.close()
