"""An archive that was tampered with: each way is found, and named by file and offset."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit import test_recovery
from tests.audit.records import TOPIC, run_of
from tests.audit.test_recovery import TOPIC_ID, archive

from matih_workers.audit import checkpoint, container, entries, keys, notes, record
from matih_workers.audit.batch import Batch
from matih_workers.audit.erasure import certificates
from matih_workers.audit.log import CHECKPOINT, KEYS, POSITIONS, Log, LogWriter
from matih_workers.audit.partition import RecordFile
from matih_workers.audit.reading import ArchiveReader, read_file
from matih_workers.audit.storage import LocalFolder
from matih_workers.audit.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matih_workers.audit.findings import Finding, Report

KEY = test_recovery.KEY
ZERO, THREE = TOPIC_ID.partition(0), TOPIC_ID.partition(3)
FIRST, SECOND = RecordFile(ZERO, 0, 129), RecordFile(ZERO, 130, 259)


@pytest.fixture
def storage(tmp_path: Path) -> LocalFolder:
    """300 records in each of two partitions, in three files each; 603 entries; offsets 300 to 309 of one are gone."""
    storage = LocalFolder(tmp_path / "archive")
    archive(storage, {0: run_of(0, 300), 3: run_of(0, 300)})
    batch = Batch([TOPIC_ID], LogWriter(storage, KEY).state)
    batch.gap(TOPIC_ID.partition(0), 310)
    LogWriter(storage, KEY).commit(batch.entries())
    return storage


def verified(storage: LocalFolder, *more: notes.PublicKey, **options: Any) -> Report:
    return Verification(storage, more or [KEY.public], **options).run()


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, [str(finding) for finding in report.findings]
    return report.findings[0]


def rewrite(storage: LocalFolder, file: RecordFile, records: Sequence[record.ArchivedRecord]) -> None:
    """As somebody would who knows the format: the file is whole, only its records are others."""
    storage.write({file.path: container.encode_file(file.partition, TOPIC, map(record.encode, records))})


def test_whole(storage: LocalFolder) -> None:
    report = verified(storage)
    assert report.findings == []
    assert (report.records, report.files, report.entries, report.earlier) == (600, 6, 602, 4)
    assert [(gap.first, gap.end) for gap in report.gaps] == [(300, 310)]
    assert report.signed_by == str(KEY.public)
    assert report.checkpoint is not None
    assert report.checkpoint.size == 602


def test_one_byte_flipped_anywhere_is_found_and_its_file_named(storage: LocalFolder) -> None:
    for path in storage.paths(""):
        data = storage.read(path)
        assert data is not None
        if path in ("archiver.lock", "log/positions") or not data:
            continue
        step = max(1, len(data) // 4)
        for at in range(0, len(data), step):
            changed = bytearray(data)
            changed[at] ^= 1
            storage.write({path: bytes(changed)})
            found = verified(storage).findings
            named = [finding.file for finding in found]
            entry = path.startswith("log/tile/entries")
            assert path in named or (entry and any(name.startswith("log/tile/0/") for name in named)), (path, at)
        storage.write({path: data})
    assert verified(storage).whole


def test_a_changed_record(storage: LocalFolder) -> None:
    records = list(read_file(storage, FIRST))
    records[17] = records[17]._replace(value=b"better")
    rewrite(storage, FIRST, records)
    found = only(verified(storage))
    assert (found.what, found.file, found.offsets) == ("changed", FIRST.path, (17, 17))
    assert str(found).startswith(f"{FIRST.path}: offset 17: changed")


@pytest.mark.parametrize("field", ["timestamp", "timestamp_type", "key", "headers"])
def test_anything_else_of_a_record(storage: LocalFolder, field: str) -> None:
    records = list(read_file(storage, FIRST))
    other = {"timestamp": 1, "timestamp_type": 0, "key": None, "headers": (("ce_id", b"17"), ("more", None))}
    records[17] = records[17]._replace(**{field: other[field]})
    rewrite(storage, FIRST, records)
    assert only(verified(storage)).offsets == (17, 17)


def test_removed_records(storage: LocalFolder) -> None:
    records = list(read_file(storage, SECOND))
    rewrite(storage, SECOND, records[:50] + records[53:])
    found = only(verified(storage))
    assert (found.what, found.file, found.offsets) == ("missing", SECOND.path, (180, 182))


def test_swapped_records(storage: LocalFolder) -> None:
    records = list(read_file(storage, FIRST))
    a, b = records[20], records[21]
    rewrite(storage, FIRST, [*records[:20], b._replace(offset=20), a._replace(offset=21), *records[22:]])
    found = only(verified(storage))
    assert (found.what, found.file, found.offsets) == ("changed", FIRST.path, (20, 21))
    rewrite(storage, FIRST, [*records[:20], b, a, *records[22:]])
    report = verified(storage)
    assert {finding.file for finding in report.findings} == {FIRST.path}
    assert any(finding.what == "out of order" for finding in report.findings)
    rewrite(storage, FIRST, [*records[:20], a, a, *records[21:]])
    assert any(finding.what == "out of order" for finding in verified(storage).findings)


def test_added_records(storage: LocalFolder) -> None:
    last = RecordFile(ZERO, 260, 299)
    records = list(read_file(storage, last))
    rewrite(storage, last, [*records, *run_of(300, 1)])
    report = verified(storage)
    assert [(f.what, f.file, f.offsets) for f in report.findings if f.offsets] == [("surplus", "", (300, 300))]
    assert any(finding.file == last.path for finding in report.findings)


def test_a_cut_tail(storage: LocalFolder) -> None:
    last = RecordFile(THREE, 260, 299)
    storage.delete(last.path)
    found = only(verified(storage))
    assert (found.what, found.partition, found.offsets) == ("missing", THREE, (260, 299))
    assert "no file has it" in found.detail


def test_a_file_replaced_by_an_older_one(storage: LocalFolder) -> None:
    storage.write({SECOND.path: storage.read(FIRST.path) or b""})
    report = verified(storage)
    assert ("missing", SECOND.path, (130, 259)) in [(f.what, f.file, f.offsets) for f in report.findings]
    assert ("changed", SECOND.path) in [(f.what, f.file) for f in report.findings]
    other = RecordFile(THREE, 130, 259)
    storage.write({SECOND.path: storage.read(other.path) or b""})
    found = only(verified(storage))
    assert (found.what, found.file, found.offsets) == ("unreadable", SECOND.path, (130, 259))


def test_a_torn_file_and_one_beyond_the_checkpoint(storage: LocalFolder) -> None:
    beyond = RecordFile(THREE, 300, 310)
    rewrite(storage, beyond, run_of(300, 11))
    assert verified(storage).whole
    assert verified(storage).uncounted == [beyond.path]
    storage.write({FIRST.path: (storage.read(FIRST.path) or b"")[:-1]})
    found = only(verified(storage))
    assert (found.what, found.file, found.offsets) == ("unreadable", FIRST.path, (0, 129))


def test_a_checkpoint_forged_with_another_key(storage: LocalFolder) -> None:
    thief = notes.new_key(KEY.name)
    found = checkpoint.parse(storage.read(CHECKPOINT) or b"")
    storage.write({CHECKPOINT: checkpoint.sign(found, thief)})
    finding = only(verified(storage))
    assert (finding.what, finding.file) == ("signature", CHECKPOINT)
    storage.write({CHECKPOINT: checkpoint.sign(found._replace(root=bytes(32)), KEY)})
    assert any("its root is not that of" in finding.detail for finding in verified(storage).findings)


def rebuilt(storage: LocalFolder, folder: Path, key: notes.SigningKey) -> LocalFolder:
    """What an operator would make who wants record 17 to have been another, with a history to match."""
    another = LocalFolder(folder)
    records = run_of(0, 300)
    records[17] = records[17]._replace(value=b"better")
    batch = Batch([TOPIC_ID], LogWriter(another, key).state)
    batch.add(TOPIC_ID.partition(0), records)
    another.write(batch.files())
    LogWriter(another, key).commit(batch.entries())
    return another


def test_an_archive_made_up_from_nothing(storage: LocalFolder, tmp_path: Path) -> None:
    anchored = {f"anchor/{size}": signed for size, signed in Log(storage).history().items()}
    forged = rebuilt(storage, tmp_path / "other-key", notes.new_key(KEY.name))
    assert {finding.what for finding in verified(forged).findings} == {"signature"}
    forged = rebuilt(storage, tmp_path / "same-key", KEY)
    assert verified(forged).whole, "with the same key only a checkpoint kept elsewhere tells"
    report = verified(forged, earlier=anchored)
    assert {finding.what for finding in report.findings} == {"history"}
    assert any("made up anew" in finding.detail for finding in report.findings)
    assert any("tail was cut off" in finding.detail for finding in report.findings)
    assert verified(storage, earlier=anchored).earlier == 8


def test_an_archive_put_back_to_yesterday(storage: LocalFolder, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "archive", tmp_path / "copy")
    LogWriter(storage, KEY).commit([entries.encode(entries.GapEntry(THREE, 300, 301, "x"))])
    today = {"kept": storage.read(CHECKPOINT) or b""}
    yesterday = LocalFolder(tmp_path / "copy")
    assert verified(yesterday).whole
    assert "its tail was cut off" in only(verified(yesterday, earlier=today)).detail


def test_a_lost_bundle_and_a_lost_tile(storage: LocalFolder) -> None:
    bundle = storage.read("log/tile/entries/001") or b""
    storage.delete("log/tile/entries/001")
    found = only(verified(storage))
    assert found.file == "log/tile/entries/001"
    storage.write({"log/tile/entries/001": bundle})
    storage.delete("log/tile/0/001")
    assert {finding.file for finding in verified(storage).findings} >= {"log/tile/0/001"}


def test_a_shortcut_that_lies(storage: LocalFolder) -> None:
    data = storage.read(POSITIONS) or b""
    storage.write({POSITIONS: data.replace(b",3,300]", b",3,290]")})
    assert storage.read(POSITIONS) != data
    assert only(verified(storage)).file == POSITIONS


def test_a_hole_in_the_log_itself(storage: LocalFolder) -> None:
    """An archiver that skips records and signs it."""
    LogWriter(storage, KEY).commit([entries.encode(entries.RecordEntry(THREE, 305, bytes(32)))])
    found = verified(storage).findings
    assert ("hole", (300, 304)) in [(finding.what, finding.offsets) for finding in found]


def test_since_an_earlier_checkpoint(storage: LocalFolder) -> None:
    records = run_of(300, 20)
    size = LogWriter(storage, KEY).checkpoint.size
    batch = Batch([TOPIC_ID], LogWriter(storage, KEY).state)
    batch.add(TOPIC_ID.partition(3), records)
    storage.write(batch.files())
    LogWriter(storage, KEY).commit(batch.entries())
    rewrite(storage, FIRST, run_of(0, 1))
    assert not verified(storage).whole
    report = verified(storage, since=size)
    assert report.findings == []
    assert (report.records, report.entries) == (20, 20)
    assert "no checkpoint of 600" in verified(storage, since=600).findings[-1].detail
    last = RecordFile(THREE, 300, 319)
    rewrite(storage, last, records[:-1])
    assert {finding.file for finding in verified(storage, since=size).findings} == {last.path}


def test_a_new_key_that_the_old_one_vouches_for(storage: LocalFolder) -> None:
    new, thief = notes.new_key(KEY.name), notes.new_key(KEY.name)
    LogWriter(storage, KEY).commit([entries.encode(keys.rotation(KEY, new.public))])
    LogWriter(storage, new, [KEY.public]).commit([entries.encode(entries.GapEntry(THREE, 300, 301, "x"))])
    assert verified(storage).whole
    assert verified(storage).signed_by == str(new.public)
    assert verified(storage, KEY.public, new.public).whole
    assert not verified(storage, new.public).whole, "who knows the new key only has to be given the old one too"
    LogWriter(storage, thief, [new.public]).commit([entries.encode(keys.rotation(thief, thief.public))])
    assert {finding.what for finding in verified(storage).findings} == {"signature"}


@pytest.mark.parametrize("beside_the_log", [True, False], ids=["now", "by earlier releases"])
def test_since_a_rotation_with_the_old_key(storage: LocalFolder, beside_the_log: bool) -> None:
    second, third = notes.new_key(KEY.name), notes.new_key(KEY.name)
    LogWriter(storage, second, [KEY.public]).vouched_by(KEY)
    LogWriter(storage, third, [second.public]).vouched_by(second)
    size = LogWriter(storage, third).checkpoint.size
    LogWriter(storage, third).commit([entries.encode(entries.GapEntry(THREE, 300, 301, "x"))])
    assert len(storage.paths(KEYS)) == 2
    if not beside_the_log:
        for path in storage.paths(KEYS):
            storage.delete(path)
    assert verified(storage, since=size).findings == []
    assert verified(storage).findings == []
    assert verified(storage, since=size).signed_by == str(third.public)
    assert not verified(storage, third.public, since=size).whole


def test_since_a_rotation_that_nobody_vouched_for(storage: LocalFolder) -> None:
    thief = notes.new_key(KEY.name)
    LogWriter(storage, thief, [KEY.public]).vouched_by(thief)
    size = LogWriter(storage, thief).checkpoint.size
    LogWriter(storage, thief).commit([entries.encode(entries.GapEntry(THREE, 300, 301, "x"))])
    (planted,) = storage.paths(KEYS)
    for report in (verified(storage, since=size), verified(storage)):
        found = {(finding.what, finding.file) for finding in report.findings}
        assert found >= {("signature", CHECKPOINT), ("signature", planted)}


def test_a_flipped_byte_in_a_rotation(storage: LocalFolder) -> None:
    new = notes.new_key(KEY.name)
    LogWriter(storage, new, [KEY.public]).vouched_by(KEY)
    (path,) = storage.paths(KEYS)
    data = storage.read(path) or b""
    storage.write({path: data.replace(b"this key", b"that key")})
    assert only(verified(storage)).file == path


def test_erased_with_a_certificate_only(storage: LocalFolder) -> None:
    records = list(read_file(storage, FIRST))
    records[5:8] = map(record.erase, records[5:8])
    rewrite(storage, FIRST, records)
    found = only(verified(storage))
    assert (found.what, found.file, found.offsets) == ("erased without a certificate", FIRST.path, (5, 7))
    places = [(one.offset, record.digest_of(record.encode(one))) for one in records[5:8]]
    said = certificates(ZERO, places, "root", "a request", 1_700_000_000_000)
    LogWriter(storage, KEY).commit([entries.encode(one) for one in said])
    report = verified(storage)
    assert (report.findings, report.erased) == ([], 3)
    records[5] = records[5]._replace(timestamp=0)
    rewrite(storage, FIRST, records)
    assert only(verified(storage)).offsets == (5, 5)
    assert len(list(ArchiveReader(storage).records(*ZERO, 0, 1000))) == 300
