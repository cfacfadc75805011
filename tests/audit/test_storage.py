"""One contract, each storage: files are there whole, or not at all."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit.records import run_of
from tests.audit.test_recovery import archive, read
from tests.audit.test_verification import verified

from matih_workers.audit.errors import StorageUnavailable
from matih_workers.audit.storage import LocalFolder, Storage, open_storage

if TYPE_CHECKING:
    from pathlib import Path


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
