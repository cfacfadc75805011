"""Checkpoints kept elsewhere: what is there stays, and who puts another one over it is found out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit.records import run_of
from tests.audit.test_events import command
from tests.audit.test_recovery import KEY, archive

from matih_workers.audit import checkpoint, verify_commands
from matih_workers.audit.anchor import Anchor
from matih_workers.audit.bucket import Bucket
from matih_workers.audit.log import CHECKPOINT, Log
from matih_workers.audit.storage import LocalFolder, open_storage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.audit.conftest import S3Bucket


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_bucket').place}/anchor"
    return str(tmp_path / "anchor")


def test_a_checkpoint_that_is_there_stays(storage: LocalFolder, place: str) -> None:
    archive(storage, {0: run_of(0, 20)})
    signed = storage.read(CHECKPOINT) or b""
    said = checkpoint.parse(signed)
    forged = checkpoint.sign(said._replace(root=bytes(32)), KEY)
    assert Anchor(place).put(said.size, signed)
    assert Anchor(place).put(said.size, signed), "as after a restart"
    assert not Anchor(place).put(said.size, forged)
    assert open_storage(place).versions() == {f"{said.size:020}": signed}
    assert Anchor("").put(said.size, signed)


def anchored(storage: LocalFolder, place: str) -> None:
    for size, signed in Log(storage).history().items():
        assert Anchor(place).put(size, signed)


def verify(tmp_path: Path, place: str, code: int) -> Any:
    words = ("verify", "--public-key", str(KEY.public), "--checkpoint", place, "--json")
    return json.loads(command(tmp_path, *words, code=code))


def test_who_puts_a_new_version_over_it_is_found_out(storage: LocalFolder, tmp_path: Path, s3_bucket: S3Bucket) -> None:
    """Object Lock keeps the version that was there; who only reads the newest would believe the forger."""
    archive(storage, {0: run_of(0, 20)})
    place = f"{s3_bucket.place}/anchor"
    anchored(storage, place)
    assert verify(tmp_path, place, 0)["earlier_checkpoints"] == 2
    forged = tmp_path / "forged"
    archive(LocalFolder(forged / "archive"), {0: [one._replace(value=b"better") for one in run_of(0, 20)]})
    for size, signed in Log(LocalFolder(forged / "archive")).history().items():
        open_storage(place).write({f"{size:020}": signed})
    (finding,) = verify(forged, place, 1)["findings"]
    assert finding["what"] == "history"
    assert "(version " in finding["file"]
    assert "made up anew" in finding["detail"]


def test_who_may_not_read_versions_is_told(
    storage: LocalFolder, tmp_path: Path, s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise PermissionError("Access Denied")

    archive(storage, {0: run_of(0, 20)})
    anchored(storage, f"{s3_bucket.place}/anchor")
    told: list[str] = []
    monkeypatch.setattr(Bucket, "_known_versions", refused)
    monkeypatch.setattr(verify_commands, "note", told.append)
    assert verify(tmp_path, f"{s3_bucket.place}/anchor", 0)["earlier_checkpoints"] == 2
    assert "Access Denied" in told[0]
    assert "not what was there before" in told[0]
