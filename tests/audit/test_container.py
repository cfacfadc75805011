"""Files of records: what foreign readers see in them, and that no byte of them can change unseen."""

from __future__ import annotations

import io
from typing import Any

import cramjam
import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audit.records import PARTITION, RECORDS, TOPIC, run_of

from matih_workers.audit import container, record
from matih_workers.audit.entries import GapEntry, RecordEntry, Statement
from matih_workers.audit.entries import decode as decode_entry
from matih_workers.audit.entries import encode as encode_entry
from matih_workers.audit.errors import Damaged
from matih_workers.audit.partition import PartitionId, RecordFile, record_file


def file_of(records: list[record.ArchivedRecord]) -> bytes:
    return container.encode_file(PARTITION, TOPIC, map(record.encode, records))


def as_fastavro(one: record.ArchivedRecord) -> dict[str, Any]:
    return {**one._asdict(), "headers": [{"name": name, "value": value} for name, value in one.headers]}


def seen(one: record.ArchivedRecord) -> bytes:
    """What stands in a file for the record's digest."""
    return (one.erased or b"") + record.digest_of(record.encode(one))


@given(one=RECORDS)
def test_a_records_bytes_are_avros(one: record.ArchivedRecord) -> None:
    encoded = record.encode(one)
    read = fastavro.schemaless_reader(io.BytesIO(encoded), fastavro.parse_schema(record.SCHEMA), None)
    assert read == as_fastavro(one)
    assert record.decode(encoded) == (one, len(encoded))
    assert record.next_place(encoded, 0) == (one.offset, seen(one), len(encoded))


@given(one=RECORDS, data=st.data())
def test_any_other_bytes_are_another_record_or_none(one: record.ArchivedRecord, data: st.DataObject) -> None:
    encoded = bytearray(record.encode(one))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        offset, digest, end = record.next_place(bytes(encoded), 0)
    except Damaged:
        return
    assert (offset, digest, end) != (one.offset, seen(one), len(encoded))


def test_erased_records_keep_their_place_and_hash() -> None:
    (one,) = run_of(7, 1)
    erased = record.erase(one)
    assert (erased.key, erased.value, erased.headers, erased.offset) == (None, None, (), 7)
    assert record.digest(erased) == record.digest(one) == record.digest(record.erase(erased))
    assert record.next_place(record.encode(erased), 0)[1] == seen(erased)
    assert seen(erased)[:32] == record.digest(one)


@settings(max_examples=40)
@given(records=st.lists(RECORDS, min_size=1, max_size=20))
def test_a_file_gives_its_records_back_and_is_always_the_same(records: list[record.ArchivedRecord]) -> None:
    data = file_of(records)
    assert data == file_of(records)
    opened = container.open_file(data, PARTITION)
    blocks = list(opened.uncompressed())
    assert [one for block in blocks for one in container.records(block)] == records
    assert [digest for block in blocks for _, digest in container.places(block)] == [seen(one) for one in records]


def test_a_foreign_reader_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """fastavro's own reader; the zstd library that it would ask for is not installed here, so it is given ours."""
    from fastavro import _read_py

    def zstandard(decoder: Any) -> io.BytesIO:
        length = decoder.read_long()
        return io.BytesIO(bytes(cramjam.zstd.decompress(decoder.read_fixed(length))))

    monkeypatch.setitem(_read_py.BLOCK_READERS, "zstandard", zstandard)
    records = run_of(0, 5000, 200)
    reader = _read_py.reader(io.BytesIO(file_of(records)))
    assert list(reader) == [as_fastavro(one) for one in records]
    assert reader.metadata["matih.topic"] == TOPIC
    assert len(container.open_file(file_of(records), PARTITION).blocks) > 1


def test_every_byte_counts() -> None:
    data = file_of(run_of(0, 40))
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(Damaged):
            container.open_file(bytes(changed), PARTITION)
    for end in range(len(data)):
        with pytest.raises(Damaged):
            container.open_file(data[:end], PARTITION)
    with pytest.raises(Damaged, match="not that of a file of"):
        container.open_file(data, PARTITION._replace(partition=4))


def test_names_of_files() -> None:
    one = RecordFile(PARTITION, 5, 1234)
    assert one.path.endswith("/3/00000000000000000005-00000000000000001234.avro")
    assert record_file(one.path) == one
    for path in ("records/a/b/3/5-6.avro", f"{one.path}.tmp", one.path.replace("/3/", "/03/"), "log/checkpoint"):
        assert record_file(path) is None
    assert record_file(RecordFile(PARTITION, 6, 5).path) is None


def test_entries_are_as_documented_and_come_back() -> None:
    one = RecordEntry(PartitionId("cluster", "topic", 3), 258, bytes(32))
    assert encode_entry(one) == b"\x01\x07cluster\x05topic\0\0\0\x03\0\0\0\0\0\0\x01\x02" + bytes(32)
    gap = GapEntry(PARTITION, 0, 10, "why ever")
    said = Statement("topic", {"name": TOPIC, "a": [1, 2]})
    assert [decode_entry(encode_entry(entry)) for entry in (one, gap, said)] == [one, gap, said]
    for bad in (b"", b"\x07", encode_entry(one)[:-1], encode_entry(gap)[:20], b"\x03{}", b"\x03[]", b"\x03{"):
        with pytest.raises(Damaged):
            decode_entry(bad)
