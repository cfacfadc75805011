"""One contract, each storage: files are there whole, or not at all."""

from __future__ import annotations

import errno
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
from tests.audit.records import run_of
from tests.audit.test_recovery import archive, read
from tests.audit.test_verification import verified

from matih_workers.audit.errors import StorageUnavailable
from matih_workers.audit.storage import LocalFolder, Storage, open_storage


@pytest.fixture(params=["folder", "bucket", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return open_storage(f"{request.getfixturevalue('s3_bucket').place}/a")
    place = {"folder": f"file://{tmp_path}/a", "bucket": f"memory://{secrets.token_hex(4)}/a"}
    return open_storage(place[request.param])


def test_files(storage: Storage) -> None:
    assert storage.read("log/checkpoint") is None
    assert storage.paths("") == storage.paths("log") == []
    storage.write({"log/checkpoint": b"one", "log/tile/0/000": b"\x00" * 100_000, "records/a": b""})
    storage.write({"log/checkpoint": b"two"})
    assert storage.read("log/checkpoint") == b"two"
    assert storage.paths("log") == ["log/checkpoint", "log/tile/0/000"]
    assert storage.paths("") == ["log/checkpoint", "log/tile/0/000", "records/a"]
    assert storage.sizes("log") == {"log/checkpoint": 3, "log/tile/0/000": 100_000}
    assert storage.sizes("records") == {"records/a": 0}
    assert storage.sizes("none") == {}
    assert abs((storage.written_at("log/checkpoint") or 0) - time.time()) < 3600
    assert storage.written_at("log/none") is None
    storage.delete("records/a")
    storage.delete("records/a")
    assert storage.read("records/a") is None
    with storage.lock():
        pass


def test_a_file_is_created_once(storage: Storage) -> None:
    assert storage.create("anchor/3", b"one")
    assert not storage.create("anchor/3", b"two")
    assert storage.read("anchor/3") == b"one"
    assert storage.paths("") == ["anchor/3"]
    assert storage.versions() == {"anchor/3": b"one"}


def test_a_file_is_created_once_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    storage = LocalFolder(tmp_path)
    assert [storage.create("anchor/3", data) for data in (b"one", b"two")] == [True, False]
    assert [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] == [b"one"]


def test_what_was_put_over_or_deleted_is_kept_in_s3(s3_bucket: Any) -> None:
    storage, other = open_storage(f"{s3_bucket.place}/a"), open_storage(f"{s3_bucket.place}/another")
    assert storage.versions() == {}
    other.write({"log/x": b"another's"})
    storage.write({"log/x": b"one", "log/y": b"kept"})
    storage.write({"log/x": b"two"})
    storage.delete("log/y")
    found = storage.versions()
    assert found.pop("log/x") == b"two"
    assert sorted((name.partition(" (version ")[0], data) for name, data in found.items()) == [
        ("log/x", b"one"),
        ("log/y", b"kept"),
    ]


def test_an_archive_in_it(storage: Storage) -> None:
    topic = {number: run_of(0, 300) for number in (0, 3)}
    archive(storage, topic)  # type: ignore[arg-type]
    assert read(storage) == topic  # type: ignore[arg-type]
    assert verified(storage).whole  # type: ignore[arg-type]


def test_a_bucket_that_can_not_be_reached(s3_bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    fsspec.filesystem("s3").clear_instance_cache()
    try:
        with pytest.raises(StorageUnavailable, match="log/checkpoint"):
            open_storage(s3_bucket.place).read("log/checkpoint")
    finally:
        fsspec.filesystem("s3").clear_instance_cache()


def test_a_folder_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="log/checkpoint"):
        LocalFolder(tmp_path / "file").write({"log/checkpoint": b"x"})
    with pytest.raises(StorageUnavailable), LocalFolder(tmp_path / "file").lock():
        pass


def test_an_address_of_an_unknown_kind() -> None:
    with pytest.raises(StorageUnavailable, match="rain"):
        open_storage("rain://bucket")
