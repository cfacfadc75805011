"""Cut, zeroed or flipped at any byte, a journal gives a prefix of what was written, or a named error; never more."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matih_tracking.journal.cursor import CURSOR_FILE
from matih_tracking.journal.errors import JournalNewer
from matih_tracking.journal.segment import HEADER_BYTES, file_name
from matih_tracking.journal.writer import JournalWriter

from .conftest import RUN_ID
from .reading import read_all

ENTRIES = [f"entry {number} ".encode() * (1 + number % 9) for number in range(700)]
FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=["closed", "dead"])
def original(request, tmp_path_factory):
    """A journal of several segments: one that was closed, and one that looks as after a kill -9."""
    spool = tmp_path_factory.mktemp("spool")
    writer = JournalWriter.create(spool, RUN_ID, first_segment_bytes=1, max_segment_bytes=1)
    for entry in ENTRIES:
        writer.append(entry)
    writer.check()
    dead = shutil.copytree(writer.path, tmp_path_factory.mktemp("dead") / "journal")
    writer.close()
    return writer.path if request.param == "closed" else dead


@pytest.fixture
def journal(original, tmp_path):
    return shutil.copytree(original, tmp_path / "journal")


def segments(journal):
    return sorted(journal.glob("*.seg"))


def test_the_original_reads_back(original):
    assert len(segments(original)) >= 4
    found = read_all(original, owner_gone=True)
    assert found.payloads == ENTRIES
    assert (found.last.ended, found.last.lost_bytes) == (True, 0)


def check(journal, *, must_tell):
    """A prefix for a living and for a dead writer; entries that are missing in the end are told of."""
    for owner_gone in (False, True):
        found = read_all(journal, owner_gone=owner_gone)
        assert found.payloads == ENTRIES[: len(found.payloads)]
        assert found.error is not None or found.last.ended or not owner_gone
    if must_tell and len(found.payloads) < len(ENTRIES):
        assert found.error is not None or found.last.lost_bytes > 0


def damaged(journal, original, nth, data):
    """The same journal with `data` in the place of one segment's bytes; undoes what the last example did."""
    for mine, theirs in zip(segments(journal), segments(original), strict=True):
        if mine.stat().st_size != theirs.stat().st_size or mine.read_bytes() != theirs.read_bytes():
            shutil.copy(theirs, mine)
    segments(journal)[nth].write_bytes(data)


def somewhere(draw, original):
    """A segment, and a byte in it; headers are hit as often as all the rest."""
    nth = draw(st.integers(0, len(segments(original)) - 1))
    data = bytearray(segments(original)[nth].read_bytes())
    at = draw(st.integers(0, HEADER_BYTES + 40) | st.integers(0, len(data) - 1))
    return nth, data, at


@FUZZ
@given(st.data())
def test_a_flipped_bit(original, journal, data):
    nth, content, at = somewhere(data.draw, original)
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    damaged(journal, original, nth, content)
    check(journal, must_tell=True)


@FUZZ
@given(st.data())
def test_a_cut_file(original, journal, data):
    nth, content, at = somewhere(data.draw, original)
    damaged(journal, original, nth, content[:at])
    check(journal, must_tell=True)


@FUZZ
@given(st.data())
def test_zeros(original, journal, data):
    nth, content, at = somewhere(data.draw, original)
    length = data.draw(st.integers(1, 300) | st.just(len(content)))
    content[at : at + length] = bytes(len(content[at : at + length]))
    damaged(journal, original, nth, content)
    # Zeros up to the very end of all look as if nothing had been written there: no reader can tell.
    check(journal, must_tell=at + length < len(content) and any(content[at + length :]))


@FUZZ
@given(st.data(), st.binary(min_size=1, max_size=400))
def test_garbage(original, journal, data, garbage):
    nth, content, at = somewhere(data.draw, original)
    content[at : at + len(garbage)] = garbage
    damaged(journal, original, nth, content)
    check(journal, must_tell=False)


@FUZZ
@given(st.data())
def test_a_segment_in_the_place_of_another(original, journal, data):
    one, two = (data.draw(st.integers(0, len(segments(original)) - 1)) for _ in range(2))
    damaged(journal, original, one, segments(original)[two].read_bytes())
    check(journal, must_tell=one != two)


@FUZZ
@given(st.binary(max_size=200))
def test_a_damaged_cursor_sends_again_and_skips_nothing(original, journal, garbage):
    (journal / CURSOR_FILE).write_bytes(garbage)
    from matih_tracking.journal.cursor import START, Cursor

    cursor = Cursor(journal)
    assert cursor.load() == START
    cursor.close()


def test_a_later_format_is_named_and_left(journal):
    path = segments(journal)[1]
    content = bytearray(path.read_bytes())
    content[8] = 200
    path.write_bytes(content)
    found = read_all(journal, owner_gone=True)
    assert isinstance(found.error, JournalNewer)
    assert "format 200" in str(found.error)
    assert found.payloads == ENTRIES[: len(found.payloads)]
    assert path.read_bytes() == content


def test_a_torn_last_entry_is_waited_for_while_its_writer_lives(original, journal):
    last = segments(journal)[-2] if b"MATIHJNL" not in segments(journal)[-1].read_bytes() else segments(journal)[-1]
    whole = last.read_bytes()
    torn_at = whole.rstrip(b"\0")[:-60]
    last.write_bytes(torn_at.ljust(len(whole), b"\0"))
    from matih_tracking.journal.reader import JournalReader

    reader = JournalReader(journal)
    seen = []
    while batch := reader.read():
        if not batch.payloads:
            break
        seen += batch.payloads
    assert not batch.ended
    assert not reader.read().ended
    last.write_bytes(whole)
    while batch := reader.read(owner_gone=True):
        if batch.ended:
            break
        seen += batch.payloads
    assert seen == ENTRIES
    assert file_name(batch.after.segment) == last.name
    reader.close()
