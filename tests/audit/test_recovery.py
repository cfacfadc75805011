"""Killed at every single write: whatever is there, the next archiver goes on with no record missing and none twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.audit.records import TOPIC, run_of

from matih_workers.audit import notes
from matih_workers.audit.batch import Batch, Topic
from matih_workers.audit.entries import NO_RECORD, RETENTION, GapEntry, decode
from matih_workers.audit.errors import Damaged
from matih_workers.audit.log import CHECKPOINT, Log, LogWriter
from matih_workers.audit.partition import RECORDS, RecordFile, record_file
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.recovery import recover
from matih_workers.audit.storage import LocalFolder
from matih_workers.audit.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matih_workers.audit.record import ArchivedRecord

KEY = notes.new_key("test/audit")
TOPIC_ID = Topic("cluster", "a-topic-id", TOPIC)
PARTITIONS = (0, 3)


class Killed(BaseException):
    """As the kernel does it: nothing after it happens."""


class Mortal(LocalFolder):
    """A folder whose writer is killed before its n-th file is there."""

    def __init__(self, root: Path, lives: int) -> None:
        super().__init__(root)
        self.lives = lives

    def write(self, files: Mapping[str, bytes]) -> None:
        for path, data in files.items():
            if self.lives == 0:
                raise Killed
            self.lives -= 1
            super().write({path: data})

    def delete(self, path: str) -> None:
        if self.lives == 0:
            raise Killed
        self.lives -= 1
        super().delete(path)


def archive(storage: LocalFolder, topic: dict[int, list[ArchivedRecord]], kept: int = 0, step: int = 130) -> None:
    """All of the topic, batch by batch, as the archiver does it; Kafka has the offsets from `kept` on."""
    writer = LogWriter(storage, KEY)
    recover(storage, writer, {TOPIC_ID.partition(number): kept for number in PARTITIONS})
    while True:
        batch = Batch([TOPIC_ID], writer.state)
        for number, records in topic.items():
            end = writer.state.ends.get(TOPIC_ID.partition(number), 0)
            batch.gap(TOPIC_ID.partition(number), max(end, kept))
            batch.add(TOPIC_ID.partition(number), [one for one in records if one.offset >= max(end, kept)][:step])
        if not batch:
            return
        storage.write(batch.files())
        writer.commit(batch.entries())


def read(storage: LocalFolder) -> dict[int, list[ArchivedRecord]]:
    reader = ArchiveReader(storage)
    return {number: list(reader.records(*TOPIC_ID.partition(number), 0, 10**9)) for number in PARTITIONS}


def whole(folder: Path) -> bool:
    """Whether it verifies, if it has a checkpoint already."""
    storage = LocalFolder(folder)
    report = Verification(storage, [KEY.public]).run()
    return not report.findings or storage.read(CHECKPOINT) is None


def ranges(paths: list[str]) -> list[tuple[int, int]]:
    found = [file for path in paths if (file := record_file(path)) is not None]
    assert len(found) == len(paths)
    return [(file.first, file.last) for file in found]


def gaps(storage: LocalFolder) -> list[GapEntry]:
    size = ArchiveReader(storage).checkpoint
    assert size is not None
    entries = map(decode, Log(storage).entries(0, size.size))
    return [entry for entry in entries if isinstance(entry, GapEntry)]


def test_killed_at_every_write(tmp_path: Path) -> None:
    topic = {number: run_of(0, 140) for number in PARTITIONS}
    lives, finished = 0, False
    while not finished:
        folder = tmp_path / str(lives)
        try:
            archive(Mortal(folder, lives), topic, step=60)
            finished = True
        except Killed:
            assert whole(folder)
            archive(LocalFolder(folder), topic, step=45)  # batches are cut elsewhere than before
        storage = LocalFolder(folder)
        assert read(storage) == topic, f"killed before write {lives}"
        assert gaps(storage) == []
        assert whole(folder), f"killed before write {lives}"
        files = list(storage.paths(RECORDS))
        assert sum(last - first + 1 for first, last in ranges(files)) == 280, "no file is left beside another"
        lives += 1
    assert lives > 20


def test_killed_again_and_again(tmp_path: Path) -> None:
    topic = {number: run_of(0, 300) for number in PARTITIONS}
    for attempt in range(100):
        try:
            archive(Mortal(tmp_path, 3 + attempt % 13), topic)
            break
        except Killed:
            continue
    assert read(LocalFolder(tmp_path)) == topic


def test_what_kafka_lost_meanwhile_is_taken_from_the_killed_archivers_file(tmp_path: Path) -> None:
    topic = {number: run_of(0, 130) for number in PARTITIONS}
    with pytest.raises(Killed):
        archive(Mortal(tmp_path, 2), topic)
    topic = {number: run_of(0, 200) for number in PARTITIONS}
    archive(LocalFolder(tmp_path), topic, kept=150)
    storage = LocalFolder(tmp_path)
    assert read(storage) == {number: run_of(0, 130) + run_of(150, 50) for number in PARTITIONS}
    assert gaps(storage) == [GapEntry(TOPIC_ID.partition(number), 130, 150, RETENTION) for number in PARTITIONS]


def test_a_torn_or_planted_file_is_never_taken(tmp_path: Path) -> None:
    topic = {number: run_of(0, 130) for number in PARTITIONS}
    storage = LocalFolder(tmp_path)
    archive(storage, topic)
    torn = RecordFile(TOPIC_ID.partition(0), 130, 139)
    wrong = RecordFile(TOPIC_ID.partition(3), 130, 150)
    there = RecordFile(TOPIC_ID.partition(3), 0, 129)
    storage.write({torn.path: b"Obj\x01 torn", wrong.path: storage.read(there.path) or b""})
    archive(storage, topic, kept=130)
    assert storage.read(torn.path) is storage.read(wrong.path) is None
    assert read(storage) == topic
    storage.write({RecordFile(TOPIC_ID.partition(0), 120, 135).path: b""})
    with pytest.raises(Damaged, match="the log ends within it"):
        archive(storage, topic)


def test_offsets_without_a_record_are_told(tmp_path: Path) -> None:
    records = run_of(0, 10) + run_of(12, 10)
    storage = LocalFolder(tmp_path)
    archive(storage, {0: records})
    assert read(storage)[0] == records
    assert gaps(storage) == [GapEntry(TOPIC_ID.partition(0), 10, 12, NO_RECORD)]


def test_a_rewritten_range_is_the_same_file(tmp_path: Path) -> None:
    topic = {0: run_of(0, 130)}
    archive(LocalFolder(tmp_path / "a"), topic)
    archive(LocalFolder(tmp_path / "b"), topic)
    one, other = LocalFolder(tmp_path / "a"), LocalFolder(tmp_path / "b")
    assert [one.read(path) for path in one.paths("")] == [other.read(path) for path in other.paths("")]
    one.delete(CHECKPOINT)
    archive(one, topic)
    assert [one.read(path) for path in one.paths(RECORDS)] == [other.read(path) for path in other.paths(RECORDS)]
