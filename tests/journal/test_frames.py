"""Frames and segment headers: what is written is read, and what was not written never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_tracking.journal.frames import SEALED, Seal, Stop, encode, encode_seal, scan
from matih_tracking.journal.segment import (
    HEADER_BYTES,
    VERSION,
    HeaderError,
    NewerHeader,
    SegmentHeader,
    file_name,
    ordinal_of,
    pack_header,
    unpack_header,
)

PAYLOADS = st.lists(st.binary(min_size=1, max_size=60), max_size=12)
SEEDS = st.integers(1, 2**32 - 1)
HEADER = SegmentHeader(7, "12" * 8, "34" * 8, "56" * 16, 3, 4711, 1_700_000_000_000, "78" * 16, 65536)


def frames(payloads, seed):
    return b"".join(encode(payload, seed) for payload in payloads)


@given(PAYLOADS, SEEDS, st.integers(0, 10**9))
def test_a_scan_finds_what_was_written_and_where_it_ends(payloads, seed, base):
    data = frames(payloads, seed)
    found = scan(data + bytes(64), seed, base)
    assert found.payloads == payloads
    assert found.stop is Stop.BLANK
    assert found.offset == base + len(data)
    assert found.ends == [base + len(frames(payloads[: nth + 1], seed)) for nth in range(len(payloads))]


@given(PAYLOADS, SEEDS, st.booleans())
def test_a_seal_is_told_from_an_entry(payloads, seed, final):
    seal = Seal(len(payloads), final)
    found = scan(frames(payloads, seed) + encode_seal(seal, seed), seed)
    assert (found.payloads, found.stop, found.seal) == (payloads, Stop.SEALED, seal)


@given(PAYLOADS.filter(len), SEEDS, st.data())
def test_cut_anywhere_it_finds_the_whole_entries_and_asks_for_more(payloads, seed, data):
    whole = frames(payloads, seed)
    cut = data.draw(st.integers(0, len(whole)))
    found = scan(whole[:cut], seed)
    assert found.payloads == payloads[: len(found.payloads)]
    assert found.stop is Stop.MORE
    assert found.offset == len(frames(found.payloads, seed)) <= cut
    assert found.offset == cut or cut < len(frames(payloads[: len(found.payloads) + 1], seed))


@given(PAYLOADS.filter(len), SEEDS, st.data())
def test_a_changed_bit_is_the_end(payloads, seed, data):
    whole = bytearray(frames(payloads, seed) + bytes(16))
    bit = data.draw(st.integers(0, 8 * (len(whole) - 16) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    found = scan(bytes(whole), seed)
    assert found.payloads == payloads[: len(found.payloads)]
    assert found.offset <= bit // 8
    assert found.stop in {Stop.BAD, Stop.MORE}


@given(PAYLOADS.filter(len), SEEDS, SEEDS)
def test_frames_of_another_seed_are_no_frames(payloads, seed, other):
    found = scan(frames(payloads, seed), other)
    assert found.payloads == (payloads if seed == other else [])


@given(st.binary(max_size=200), SEEDS)
def test_any_bytes_can_be_scanned(data, seed):
    found = scan(data, seed)
    assert frames(found.payloads, seed) == data[: found.offset]


def test_zeros_are_blank_and_an_empty_entry_is_refused():
    assert scan(bytes(64), 1).stop is Stop.BLANK
    with pytest.raises(ValueError, match="empty"):
        encode(b"", 1)


def test_a_seal_of_the_wrong_size_is_bad():
    assert scan(encode(b"no seal", 1, SEALED), 1).stop is Stop.BAD


def test_a_header_is_read_as_it_was_written():
    assert len(pack_header(HEADER)) == HEADER_BYTES
    assert unpack_header(pack_header(HEADER) + b"frames") == HEADER


def test_zeros_are_no_header_yet():
    assert unpack_header(bytes(HEADER_BYTES)) is None


@given(st.integers(0, 8 * HEADER_BYTES - 1))
def test_a_header_with_a_changed_bit_is_refused(bit):
    data = bytearray(pack_header(HEADER))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(HeaderError):
        unpack_header(bytes(data))


def test_a_header_of_a_later_format_says_so():
    data = bytearray(pack_header(HEADER))
    data[8] = VERSION + 1
    with pytest.raises(NewerHeader, match=str(VERSION + 1)):
        unpack_header(bytes(data))


@given(st.integers(0, 10**20 - 1))
def test_names_sort_as_segments_do(ordinal):
    assert ordinal_of(file_name(ordinal)) == ordinal
    assert file_name(ordinal) < file_name(10**20 - 1) or ordinal == 10**20 - 1


@pytest.mark.parametrize("name", ["lock", "cursor", "x.seg", "1.tmp", ".00000000000000000001.seg", "٣.seg", ""])
def test_other_files_are_no_segments(name):
    assert ordinal_of(name) is None
