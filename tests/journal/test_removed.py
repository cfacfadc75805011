"""A spool that somebody deletes under a running writer is made anew, with everything that wasn't acknowledged."""

from __future__ import annotations

import shutil

import pytest

from matih_tracking.journal.cursor import Cursor
from matih_tracking.journal.errors import JournalError
from matih_tracking.journal.folder import Health, JournalFolder
from matih_tracking.journal.listing import delete_acked, owner_state
from matih_tracking.journal.ownership import State
from matih_tracking.journal.readable_segment import ordinals
from matih_tracking.journal.reader import JournalReader
from matih_tracking.spool import SpoolUnusable

from .reading import read_all, read_on

ENTRIES = [f"entry {number} ".encode() * (1 + number % 20) for number in range(1200)]


def append_all(writer, entries):
    for entry in entries:
        writer.append(entry)


def test_nothing_is_done_while_all_is_in_place(writer):
    append_all(writer, ENTRIES)
    assert writer.check() == Health(recreated=False, relogged=0, lost=0)


def test_a_deleted_spool_is_made_anew_with_all_that_was_not_acknowledged(spool, writer):
    append_all(writer, ENTRIES[:800])
    shutil.rmtree(spool)
    append_all(writer, ENTRIES[800:1000])
    health = writer.check()
    assert (health.recreated, health.lost) == (True, 0)
    assert 800 <= health.relogged <= 1000  # a change of segments may have noticed before
    append_all(writer, ENTRIES[1000:])
    assert writer.check() == Health()
    assert owner_state(writer.path) is State.HELD
    writer.close()
    found = read_all(writer.path)
    assert found.payloads == ENTRIES
    assert found.last.ended
    assert owner_state(writer.path) is State.FREE


def test_what_was_acknowledged_is_not_written_again(spool, writer):
    append_all(writer, ENTRIES)
    reader, cursor = JournalReader(writer.path), Cursor(writer.path)
    acked = reader.read(30_000).after
    acked = reader.read(30_000).after
    cursor.store(acked)
    delete_acked(writer.path, acked)
    assert writer.check() == Health()
    shutil.rmtree(spool)
    assert writer.check() == Health(recreated=True, relogged=len(ENTRIES) - acked.number, lost=0)
    assert writer.acked() == acked.number
    assert read_all(writer.path, acked).payloads == ENTRIES[acked.number :]
    reader.close()
    cursor.close()


def test_a_reader_that_was_open_goes_on_in_the_new_files(spool, writer):
    append_all(writer, ENTRIES[:500])
    reader = JournalReader(writer.path)
    seen = read_on(reader, []).payloads
    shutil.rmtree(spool)
    append_all(writer, ENTRIES[500:510])
    seen = read_on(reader, seen).payloads
    writer.check()
    append_all(writer, ENTRIES[510:])
    assert read_on(reader, seen).payloads == ENTRIES
    reader.close()


def test_the_shippers_cursor_follows(spool, writer):
    append_all(writer, ENTRIES[:100])
    cursor = Cursor(writer.path)
    shutil.rmtree(spool)
    writer.check()
    acked = read_all(writer.path).last.after
    cursor.store(acked)
    assert writer.acked() == 100
    cursor.close()


@pytest.mark.parametrize("name", ["lock", "cursor", f"{0:020d}.seg", f"{2:020d}.seg"])
def test_one_deleted_file_is_made_anew(writer, name):
    append_all(writer, ENTRIES)
    writer.check()
    before = {path.name: path.read_bytes() for path in writer.path.iterdir()}
    (writer.path / name).unlink()
    assert writer.check().recreated
    after = {path.name: path.read_bytes() for path in writer.path.iterdir()}
    after.pop("cursor"), before.pop("cursor")
    assert after == before
    assert owner_state(writer.path) is State.HELD
    assert read_all(writer.path).payloads == ENTRIES


def test_a_journal_that_was_moved_away_is_made_anew(spool, writer):
    append_all(writer, ENTRIES)
    spool.rename(spool.with_name("elsewhere"))
    assert writer.check().relogged == len(ENTRIES)
    assert read_all(writer.path).payloads == ENTRIES


def test_a_change_of_segments_notices_by_itself(spool, writer):
    append_all(writer, ENTRIES[:10])
    shutil.rmtree(spool)
    append_all(writer, ENTRIES[10:])
    assert read_all(writer.path).payloads == ENTRIES


def test_what_was_sealed_too_long_ago_is_counted_as_lost(spool, make_writer):
    writer = make_writer(max_segment_bytes=1)
    entries = ENTRIES * 4
    append_all(writer, entries)
    assert len(ordinals(writer.path)) > 20
    shutil.rmtree(spool)
    health = writer.check()
    assert health.recreated
    assert health.lost > 0
    assert health.lost + health.relogged == len(entries)
    assert writer.acked() == health.lost  # so that a reader isn't told to look for what isn't there
    cursor = Cursor(writer.path)
    assert read_all(writer.path, cursor.load()).payloads == entries[health.lost :]
    cursor.close()


def test_while_it_cannot_be_made_anew_entries_are_kept(spool, writer):
    append_all(writer, ENTRIES[:10])
    shutil.rmtree(spool)
    spool.write_text("a file in the folder's place")
    for _ in range(2):
        with pytest.raises((SpoolUnusable, JournalError), match=str(spool)):
            writer.check()
        append_all(writer, ENTRIES[10 : 10 + 5])
    spool.unlink()
    assert writer.check().relogged == 20
    assert read_all(writer.path).payloads == ENTRIES[:10] + ENTRIES[10:15] * 2


def test_what_is_logged_while_the_files_are_made_anew_is_in_them(spool, writer, monkeypatch):
    append_all(writer, ENTRIES[:50])
    shutil.rmtree(spool)
    copy = JournalFolder.copy

    def copy_slowly(folder, segment, used):
        copied = copy(folder, segment, used)
        append_all(writer, ENTRIES[50:60])
        return copied

    monkeypatch.setattr(JournalFolder, "copy", copy_slowly)
    assert writer.check().relogged == 60
    append_all(writer, ENTRIES[60:])
    assert read_all(writer.path).payloads == ENTRIES
