"""The log on a storage: what was committed is there for whoever comes next, what was not does not count."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audit.records import PARTITION, TOPIC, run_of
from tests.audit.test_merkle import naive

from matih_workers.audit import checkpoint, container, notes, record, state
from matih_workers.audit.entries import GapEntry, RecordEntry, encode
from matih_workers.audit.errors import Busy, Damaged, InvalidNote
from matih_workers.audit.log import CHECKPOINT, POSITIONS, Log, LogWriter
from matih_workers.audit.partition import RecordFile
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from pathlib import Path

KEY = notes.new_key("test/audit")


def entries(first: int, count: int) -> list[bytes]:
    return [encode(RecordEntry(PARTITION, offset, bytes(32))) for offset in range(first, first + count)]


@settings(max_examples=8)
@given(steps=st.lists(st.tuples(st.integers(1, 600), st.booleans()), min_size=1, max_size=5))
def test_committed_entries_are_the_log(steps: list[tuple[int, bool]], tmp_path_factory: pytest.TempPathFactory) -> None:
    storage = LocalFolder(tmp_path_factory.mktemp("log"))
    writer, whole = LogWriter(storage, KEY), []
    for count, reopened in steps:
        new = entries(len(whole), count)
        writer.commit(new)
        whole += new
        if reopened:
            writer = LogWriter(storage, KEY)
        log = Log(storage)
        found, _ = checkpoint.open_checkpoint(log.checkpoint() or b"", [KEY.public])
        assert (found.size, found.root) == (len(whole), naive(whole))
        assert list(log.entries(0, len(whole))) == whole
        assert log.root(len(whole)) == naive(whole)
        assert log.state(len(whole)).ends == writer.state.ends == {PARTITION: len(whole)}
    history = Log(storage).history()
    assert list(history) == [sum(count for count, _ in steps[: number + 1]) for number in range(len(steps))]
    for size, signed in history.items():
        assert checkpoint.parse(signed).root == naive(whole[:size]) == Log(storage).root(size, len(whole))
    partial = [path for path in storage.paths("log/tile") if ".p/" in path]
    full = {path for path in storage.paths("log/tile") if ".p/" not in path}
    assert not [path for path in partial if path.rpartition(".p/")[0] in full], "no partial file beside its full one"


def test_what_the_checkpoint_does_not_cover_does_not_count(tmp_path: Path) -> None:
    storage = LocalFolder(tmp_path)
    LogWriter(storage, KEY).commit(entries(0, 300))
    kept = storage.read(CHECKPOINT)
    LogWriter(storage, KEY).commit(entries(300, 10))
    assert kept is not None
    storage.write({CHECKPOINT: kept})
    again = LogWriter(storage, KEY)
    assert (again.checkpoint.size, again.state.ends) == (300, {PARTITION: 300})
    again.commit(entries(300, 400))
    assert list(Log(storage).entries(290, 700)) == entries(290, 410)


def test_the_shortcut_is_not_believed_without_its_root(tmp_path: Path) -> None:
    storage = LocalFolder(tmp_path)
    LogWriter(storage, KEY).commit(entries(0, 300))
    lie = state.LogState({PARTITION: 5})
    for data in (b"", b"{}", state.cache(300, bytes(32), lie), state.cache(900, bytes(32), lie)):
        storage.write({POSITIONS: data})
        assert Log(storage).state(300).ends == {PARTITION: 300}


def test_two_writers_stop_and_never_mix(tmp_path: Path) -> None:
    storage = LocalFolder(tmp_path)
    one, other = LogWriter(storage, KEY), LogWriter(storage, KEY)
    one.commit(entries(0, 3))
    with pytest.raises(Busy, match="another archiver"):
        other.commit(entries(0, 5))
    assert list(Log(storage).entries(0, 3)) == entries(0, 3)
    with storage.lock(), pytest.raises(Busy, match="pid"), LocalFolder(tmp_path).lock():
        pass


def cosignature(text: str, name: str, key: Ed25519PrivateKey, seconds: int) -> bytes:
    """A witness's line: https://c2sp.org/tlog-cosignature."""
    raw = key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n\x04" + raw).digest()[:4]
    signature = key.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
    return f"\u2014 {name} {base64.b64encode(key_id + seconds.to_bytes(8, 'big') + signature).decode()}\n".encode()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_witness_signs_the_checkpoint(tmp_path: Path, *, restarted: bool) -> None:
    storage, witness = LocalFolder(tmp_path), Ed25519PrivateKey.generate()
    writer = LogWriter(storage, KEY)
    ours = writer.commit(entries(0, 3))
    line = cosignature(notes.parse_note(ours)[0], "witness.example/w", witness, 1_750_000_000)
    storage.write({CHECKPOINT: ours + line})
    writer = LogWriter(storage, KEY) if restarted else writer
    writer.commit(entries(3, 5))
    assert Log(storage).history()[3] == ours + line, "what the witness has signed stays, with what it has signed"
    assert checkpoint.open_checkpoint(ours + line, [KEY.public])[0].size == 3
    assert Log(storage).checkpoint() == Log(storage).history()[8]
    assert LogWriter(storage, KEY).checkpoint.size == 8
    assert Log(storage).history()[3] == ours + line


def test_another_key_and_other_tiles_are_refused(tmp_path: Path) -> None:
    storage = LocalFolder(tmp_path)
    LogWriter(storage, KEY).commit(entries(0, 300))
    new = notes.new_key(KEY.name)
    with pytest.raises(InvalidNote):
        LogWriter(storage, new)
    assert LogWriter(storage, new, [KEY.public]).checkpoint.size == 300
    for path in ("log/tile/0/001.p/44", "log/tile/entries/001.p/44"):
        data = storage.read(path)
        assert data is not None
        storage.write({path: data[:-1] + bytes((data[-1] ^ 1,))})
        with pytest.raises(Damaged, match="matih audit verify"):
            LogWriter(storage, KEY)
        storage.write({path: data})


def test_a_reader_sees_what_counts(tmp_path: Path) -> None:
    storage, records = LocalFolder(tmp_path), run_of(10, 90)
    where = PARTITION
    for first, last in ((10, 19), (20, 49), (10, 49), (50, 99)):
        data = container.encode_file(where, TOPIC, [record.encode(one) for one in records[first - 10 : last - 9]])
        storage.write({RecordFile(where, first, last).path: data})
    assert ArchiveReader(storage).ends() == {}
    assert list(ArchiveReader(storage).records(*where, 0, 1000)) == []
    said = [encode(state.topic_statement(where.cluster_id, where.topic_id, TOPIC)), encode(GapEntry(where, 0, 10, "x"))]
    LogWriter(storage, KEY).commit(
        [*said, *(encode(RecordEntry(where, one.offset, record.digest(one))) for one in records[:70])]
    )
    reader = ArchiveReader(storage)
    assert reader.ends() == {where: 80}
    assert reader.topics() == {(where.cluster_id, where.topic_id): TOPIC}
    assert list(reader.records(*where, 0, 1000)) == records[:70]
    assert list(reader.records(*where, 15, 55)) == records[5:45]
    assert list(reader.records(where.cluster_id, where.topic_id, 4, 0, 100)) == []
    torn = RecordFile(where, 50, 99).path
    storage.write({torn: (storage.read(torn) or b"")[:-5]})
    with pytest.raises(Damaged, match="0050-0"):
        list(reader.records(*where, 0, 1000))
