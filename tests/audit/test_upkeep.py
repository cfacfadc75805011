"""What an operator does to an archive: it verifies as before, and nothing is lost where it is killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.audit.records import run_of
from tests.audit.test_events import add, command, record, report
from tests.audit.test_recovery import KEY, TOPIC_ID, Killed, Mortal, archive, read
from tests.audit.test_verification import verified
from tests.workers.journals import Entry, Producer

from matih_workers.audit import erasing, notes
from matih_workers.audit.compaction import compact, groups
from matih_workers.audit.log import LogWriter
from matih_workers.audit.partition import RECORDS, RecordFile
from matih_workers.audit.policies import Policies
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from pathlib import Path


def test_which_files_become_one() -> None:
    files = [RecordFile(TOPIC_ID.partition(n), first, first + 9) for n in (0, 3) for first in range(0, 50, 10)]
    sizes = dict(zip(files, [4, 4, 4, 20, 1, 9, 2, 1, 1, 1], strict=True))
    assert groups(files, sizes, 10) == [files[:2], files[6:]]
    assert groups(files, sizes, 1) == []


def test_compaction(storage: LocalFolder, tmp_path: Path) -> None:
    topic = {number: run_of(0, 300) for number in (0, 3)}
    archive(storage, topic)
    beyond = RecordFile(TOPIC_ID.partition(0), 300, 310)
    storage.write({beyond.path: b"not counted"})
    assert report(tmp_path, "compact") == {"merged": 6, "made": 2, "removed": 0}
    assert read(storage) == topic
    assert (verified(storage).findings, len(verified(storage).superseded)) == ([], 6)
    assert report(tmp_path, "compact") == {"merged": 0, "made": 0, "removed": 6}
    assert read(storage) == topic
    assert (verified(storage).findings, verified(storage).files) == ([], 2)
    archive(storage, {number: run_of(0, 400) for number in (0, 3)})
    assert read(storage) == {number: run_of(0, 400) for number in (0, 3)}
    assert report(tmp_path, "compact")["made"] == 2
    assert verified(storage).whole


def test_compaction_that_is_killed(storage: LocalFolder, tmp_path: Path) -> None:
    topic = {number: run_of(0, 300) for number in (0, 3)}
    archive(storage, topic)
    for lives in range(20):
        try:
            compact(Mortal(tmp_path / "archive", lives % 3))
        except Killed:
            assert read(storage) == topic
            assert verified(storage).whole
    assert len(storage.paths(RECORDS)) == 2


def test_erasure(storage: LocalFolder, tmp_path: Path) -> None:
    gone, stays = Producer(tenant="acme"), Producer(tenant="acme")
    events = [gone.created(), stays.created(), gone.log(Entry({"secret": 1.0}, {"name": "Jo"})), stays.ended()]
    add(storage, events)
    add(storage, [gone.ended()], 3)
    asked = ("erase", "--run", gone.run_id, "--reason", "request 12")
    assert report(tmp_path, *asked)["records"] == 3
    assert b"Jo" in b"".join(one.value or b"" for one in read(storage)[0])
    assert report(tmp_path, *asked, "--yes")["records"] == 3
    kept = read(storage)
    assert kept[0][1::2] == [record(offset, events[offset]) for offset in (1, 3)]
    assert [(one.offset, one.key, one.value, one.headers) for one in kept[0][::2]] == [
        (0, None, None, ()),
        (2, None, None, ()),
    ]
    found = verified(storage)
    assert (found.findings, found.erased) == ([], 3)
    assert report(tmp_path, *asked, "--yes")["records"] == 0
    assert "say whose" in command(tmp_path, "erase", "--reason", "x", code=2)
    assert report(tmp_path, "compact")["made"] == 0


def test_an_erasure_that_is_killed(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    for lives in range(12):
        folder = tmp_path / str(lives)
        add(LocalFolder(folder), [who.created(), who.ended()])
        try:
            _erase(Mortal(folder, lives))
        except Killed:
            assert verified(LocalFolder(folder)).whole
            _erase(LocalFolder(folder))
        assert verified(LocalFolder(folder)).whole
        assert verified(LocalFolder(folder)).erased == 2


def _erase(storage: LocalFolder) -> None:
    writer = LogWriter(storage, KEY)
    choice = erasing.of_subject(erasing.Subject(None, "acme"), "x")
    erasing.erase(storage, writer, erasing.planned(storage, writer, Policies(), choice), "root", 1)


def test_rotation(storage: LocalFolder, tmp_path: Path) -> None:
    add(storage, [Producer(tenant="acme").created()])
    new = notes.new_key(KEY.name)
    (tmp_path / "new").write_text(new.secret())
    (tmp_path / "foreign").write_text(notes.new_key("other").secret())
    rotate, before = ("rotate", "--new-key", str(tmp_path / "new")), storage.paths("log")
    foreign = command(tmp_path, "rotate", "--new-key", str(tmp_path / "foreign"), "--reason", "x", code=2)
    assert "matih audit keygen test/audit" in foreign
    assert "--reason" in command(tmp_path, *rotate, code=2)
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    assert "nothing was done" in command(tmp_path, *rotate, "--reason", "a year has passed", code=1)
    assert storage.paths("log") == before
    del os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    assert report(tmp_path, *rotate, "--reason", "a year has passed")["public_key"] == str(new.public)
    assert LogWriter(storage, new).checkpoint.size == 3
    assert verified(storage, KEY.public).signed_by == str(new.public)
    assert ArchiveReader(storage).ends() == {TOPIC_ID.partition(0): 1}


def test_a_rotation_that_is_killed(tmp_path: Path) -> None:
    """Whichever key the checkpoint has then, who has the old public key finds it whole."""
    for lives in range(8):
        folder, new = tmp_path / str(lives), notes.new_key(KEY.name)
        add(LocalFolder(folder), [Producer(tenant="acme").created()])
        try:
            LogWriter(Mortal(folder, lives), new, [KEY.public]).vouched_by(KEY)
        except Killed:
            assert verified(LocalFolder(folder), KEY.public).whole
            again = notes.new_key(KEY.name)
            LogWriter(LocalFolder(folder), again, [KEY.public, new.public]).vouched_by(KEY)
        assert verified(LocalFolder(folder), KEY.public).whole
