"""What a journal promises, whichever way its segments are written."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from matih_tracking.journal.cursor import START, Cursor
from matih_tracking.journal.errors import JournalClosed, JournalDamaged, JournalError, JournalForeign, JournalFull
from matih_tracking.journal.listing import delete_acked, journals, owner_state, remove, sweep
from matih_tracking.journal.ownership import State
from matih_tracking.journal.readable_segment import ordinals
from matih_tracking.journal.reader import JournalReader
from matih_tracking.journal.space import used_bytes
from matih_tracking.journal.writable_segment import SMALLEST_BYTES
from matih_tracking.journal.writer import RESERVE_BYTES

from .reading import read_all, read_on


def payloads(count, size=100):
    return [f"{number:08d}".encode().ljust(size, b".") for number in range(count)]


def fill(writer, entries):
    """Appends until there is no room; returns what was written."""
    for nth, entry in enumerate(entries):
        try:
            writer.append(entry)
        except JournalFull as error:
            assert "MATIH_SPOOL_MAX_BYTES" in str(error)
            assert error.reason == "bound"
            return entries[:nth]
    raise AssertionError("there was room for everything")


def append_all(writer, entries):
    assert [writer.append(entry) for entry in entries] == list(range(writer.count - len(entries), writer.count))


def test_entries_come_back_in_order_with_their_numbers(writer):
    entries = payloads(3000)
    append_all(writer, entries)
    assert writer.count == 3000
    assert read_all(writer.path).payloads == entries
    assert read_all(writer.path, limit_bytes=700).payloads == entries
    assert len(ordinals(writer.path)) > 4


def test_a_living_writers_journal_has_no_end(writer):
    reader = JournalReader(writer.path)
    seen = []
    for entry in payloads(500):
        assert not reader.read().ended
        writer.append(entry)
        seen += reader.read().payloads
    assert seen == payloads(500)
    reader.close()


def test_a_closed_journal_ends(writer):
    append_all(writer, payloads(300))
    writer.close()
    found = read_all(writer.path)
    assert found.payloads == payloads(300)
    assert (found.last.ended, found.last.lost_bytes) == (True, 0)
    assert owner_state(writer.path) is State.FREE
    assert len([path for path in writer.path.iterdir() if path.suffix == ".seg"]) == found.last.after.segment + 1


def test_a_closed_journal_takes_nothing_more(writer):
    writer.append(b"one")
    writer.seal()
    writer.seal()
    for append in (writer.append, writer.append_reserved):
        with pytest.raises(JournalClosed, match="closed"):
            append(b"two")
    writer.close()
    writer.close()
    with pytest.raises(JournalClosed):
        writer.append(b"three")
    with pytest.raises(JournalClosed):
        writer.check()
    assert read_all(writer.path).payloads == [b"one"]


def test_it_can_be_read_from_any_position(writer):
    entries = payloads(700)
    append_all(writer, entries)
    positions = [START]
    reader = JournalReader(writer.path)
    while batch := reader.read(3000):
        if not batch.payloads:
            break
        positions += [batch.position_after(nth) for nth in range(len(batch.payloads))]
        assert batch.position_after(len(batch.payloads) - 1) == batch.after
    reader.close()
    for number in range(0, 701, 7):
        assert positions[number].number == number
        assert read_all(writer.path, positions[number]).payloads == entries[number:]


def test_an_entry_larger_than_a_segment_gets_one_that_holds_it(writer):
    entries = [b"small", b"L" * 300_000, b"small again", b"H" * 200_000, *payloads(50)]
    append_all(writer, entries)
    assert read_all(writer.path, limit_bytes=1000).payloads == entries


def test_an_empty_entry_is_refused_and_leaves_nothing(writer):
    with pytest.raises(ValueError, match="empty"):
        writer.append(b"")
    append_all(writer, payloads(2))
    assert read_all(writer.path).payloads == payloads(2)


def test_the_largest_reserved_entry_fits_wherever_the_journal_stands(spool, make_writer):
    for size in range(90, 130, 3):
        writer = make_writer(max_bytes=used_bytes(spool) + SMALLEST_BYTES)  # nothing but the first segment
        written = fill(writer, payloads(10_000, size))
        end = b"E" * (RESERVE_BYTES - 12)
        assert writer.append_reserved(end) == len(written)
        assert read_all(writer.path).payloads == [*written, end]


def test_ordinary_entries_go_on_behind_reserved_ones(writer):
    entries = payloads(400)
    for entry in entries:
        writer.append_reserved(entry)
        writer.append(entry)
    assert read_all(writer.path).payloads == [entry for entry in entries for _ in range(2)]


def test_threads_lose_nothing_and_keep_their_own_order(writer):
    threads, each = 4, 1500
    ready = threading.Barrier(threads)

    def run(thread):
        ready.wait()
        return [(writer.append(b"%d:%d" % (thread, nth)), nth) for nth in range(each)]

    with ThreadPoolExecutor(threads) as pool:
        told = list(pool.map(run, range(threads)))
    found = read_all(writer.path).payloads
    assert len(found) == threads * each
    for thread, numbers in enumerate(told):
        assert [found[number] for number, _ in numbers] == [b"%d:%d" % (thread, nth) for nth in range(each)]
        assert [number for number, _ in numbers] == sorted(number for number, _ in numbers)


def test_acknowledged_segments_can_be_deleted_and_the_rest_is_still_read(writer):
    entries = payloads(2000)
    append_all(writer, entries)
    reader, cursor = JournalReader(writer.path), Cursor(writer.path)
    seen = []
    while batch := reader.read(5000):
        if not batch.payloads:
            break
        seen += batch.payloads
        cursor.store(batch.after)
        delete_acked(writer.path, batch.after)
        assert writer.acked() == len(seen)
        assert min(ordinals(writer.path)) == batch.after.segment
        assert not writer.check().recreated
    assert seen == entries
    append_all(writer, entries[:10])
    assert read_all(writer.path, cursor.load()).payloads == entries[:10]
    reader.close()
    cursor.close()


def test_a_lost_cursor_starts_at_the_lowest_segment_and_says_what_it_cannot_know(writer):
    append_all(writer, payloads(1000))
    reader = JournalReader(writer.path)
    read_on(reader, [])
    deleted = delete_acked(writer.path, reader.position)
    reader.close()
    assert deleted == reader.position.segment
    (writer.path / "cursor").unlink()
    again = JournalReader(writer.path)
    assert again.unknown_before == again.position.number > 0
    assert read_on(again, []).payloads == payloads(1000)[again.unknown_before :]
    again.close()


def test_a_missing_segment_is_named_and_nothing_is_skipped(writer):
    entries = payloads(1000)
    append_all(writer, entries)
    writer.close()
    (writer.path / f"{1:020d}.seg").unlink()
    found = read_all(writer.path, owner_gone=True)
    assert isinstance(found.error, JournalDamaged)
    assert f"{1:020d}.seg" in str(found.error)
    assert found.payloads == entries[: len(found.payloads)]
    assert 0 < len(found.payloads) < len(entries)


def test_a_foreign_journal_is_left_alone(make_writer):
    writer = make_writer(spool_key="a" * 16)
    with pytest.raises(JournalForeign, match=r"a{16}.*b{16}"):
        JournalReader(writer.path, spool_key="b" * 16)
    reader = JournalReader(writer.path, spool_key="a" * 16)
    assert reader.header.producer_id == writer.producer_id == writer.path.name
    assert reader.header.run_id == writer.run_id
    reader.close()


def test_a_producer_has_one_journal(make_writer):
    writer = make_writer(producer_id="c" * 16)
    with pytest.raises(JournalError, match="already"):
        make_writer(producer_id="c" * 16)
    assert journals(writer.path.parents[1]) == [writer.path]


def test_only_a_journal_that_is_over_and_acknowledged_is_removed(spool, writer):
    append_all(writer, payloads(10))
    with pytest.raises(JournalError, match="may still live"):
        remove(writer.path)
    writer.close()
    with pytest.raises(JournalError, match="entries or more"):
        remove(writer.path)
    cursor = Cursor(writer.path)
    cursor.store(read_all(writer.path).last.after)
    cursor.close()
    remove(writer.path)
    assert journals(spool) == []
    assert list((spool / "journals").iterdir()) == []
    remove_again = pytest.raises(JournalError, match="may still live")
    with remove_again:
        remove(writer.path)


def test_what_a_killed_writer_left_half_made_is_swept_later(spool, make_writer, monkeypatch):
    writer = make_writer()
    half_made = spool / "journals" / ".new-abc"
    half_made.mkdir()
    (half_made / "cursor").touch()
    assert sweep(spool) == 0
    monkeypatch.setattr("matih_tracking.journal.listing._UNFINISHED_SECONDS", -1.0)
    assert sweep(spool) == 1
    assert journals(spool) == [writer.path]
    assert not half_made.exists()
