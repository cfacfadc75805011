"""Proofs as somebody checks them who has a public key, and nothing of the archive."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit.records import run_of
from tests.audit.test_events import add, command, report
from tests.audit.test_policies_of_letters import LETTERS, add_letters
from tests.audit.test_recovery import KEY, TOPIC_ID, archive
from tests.workers.journals import Producer

from matih_workers.audit import checkpoint, keys, notes, record
from matih_workers.audit.checking import Checked, InvalidProof, check, check_bytes
from matih_workers.audit.entries import GapEntry, encode
from matih_workers.audit.log import CHECKPOINT, Log, LogWriter
from matih_workers.audit.proving import NotInLog, prove_consistency, prove_record
from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from pathlib import Path

THREE = TOPIC_ID.partition(3)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> LocalFolder:
    """300 records in each of two partitions, in three checkpoints."""
    storage = LocalFolder(tmp_path_factory.mktemp("proofs"))
    archive(storage, {0: run_of(0, 300), 3: run_of(0, 300)})
    return storage


def checked(proof: dict[str, Any], kept: bytes | None = None, *accepted: notes.PublicKey) -> Checked:
    """As it comes to somebody else: as JSON."""
    return check(json.loads(json.dumps(proof)), accepted or [KEY.public], kept)


@pytest.mark.parametrize("offset", [0, 129, 299])
def test_a_record_is_in_the_log(log: LocalFolder, offset: int) -> None:
    proof, one = prove_record(log, THREE, offset), run_of(offset, 1)[0]
    found = checked(proof, log.read(CHECKPOINT))
    assert (found.problems, found.record, found.signed_by) == ([], one, str(KEY.public))
    assert found.entry == (THREE, offset, record.digest(one))
    other = base64.b64encode(record.encode(one._replace(value=b"better"))).decode()
    for lie in (
        {"index": proof["index"] + 1},
        {"record_sha256": "00" * 32},
        {"offset": offset + 1},
        {"partition": str(TOPIC_ID.partition(0))},
        {"record": other},
        {"record": base64.b64encode(record.encode(one) + b"more").decode()},
        {"proof": proof["proof"][::-1]},
        {"entry": prove_record(log, THREE, 7)["entry"]},
    ):
        found = checked(proof | lie)
        assert found.problems, lie
        assert found.record is None
    check_bytes(found := checked(proof), record.encode(one))
    assert found.proven
    check_bytes(found, record.encode(one)[:-1])
    assert not found.proven


def test_a_checkpoint_by_somebody_else(log: LocalFolder) -> None:
    proof, thief = prove_record(log, THREE, 7), notes.new_key(KEY.name)
    said = checkpoint.parse(proof["checkpoint"].encode())
    assert "no accepted key" in checked(proof, None, thief.public).problems[0]
    forged = proof | {"checkpoint": checkpoint.sign(said, thief).decode()}
    assert "no accepted key" in checked(forged).problems[0]
    vouched = keys.note_of(keys.rotation(thief, thief.public)) or b""
    assert "no accepted key" in checked(forged | {"keys": [vouched.decode()]}).problems[0]
    other = checkpoint.sign(said._replace(root=bytes(32)), KEY)
    assert "made up anew" in checked(proof, other).problems[0]
    assert "goes on from it" in checked(proof, next(iter(Log(log).history().values()))).problems[0]


def test_a_log_goes_on_from_another(log: LocalFolder) -> None:
    for size, signed in Log(log).history().items():
        proof, old = prove_consistency(log, size), checkpoint.parse(signed)
        assert checked(proof, signed).problems == []
        assert checked(proof, signed).old_size == size
        assert "made up anew" in checked(proof, checkpoint.sign(old._replace(root=bytes(32)), KEY)).problems[0]
        assert "you kept" in checked(proof).problems[0]
        assert "of 5 entries" in checked(proof, checkpoint.sign(old._replace(size=5), KEY)).problems[0]
        assert "no accepted key" in checked(proof, checkpoint.sign(old, notes.new_key(KEY.name))).problems[0]
    with pytest.raises(NotInLog):
        prove_record(log, THREE, 300)
    with pytest.raises(NotInLog):
        prove_consistency(log, 700)


@pytest.mark.parametrize("bad", [[], {}, {"checkpoint": "x", "proof": []}, {"checkpoint": None}, "x", None])
def test_no_proof(log: LocalFolder, bad: Any) -> None:
    for proof in (bad, prove_record(log, THREE, 7) | bad if isinstance(bad, dict) and bad else bad):
        with pytest.raises(InvalidProof):
            check(proof, [KEY.public])


def test_behind_a_rotation_the_old_key_is_enough(tmp_path: Path) -> None:
    storage, new = LocalFolder(tmp_path), notes.new_key(KEY.name)
    archive(storage, {3: run_of(0, 20)})
    kept = storage.read(CHECKPOINT)
    LogWriter(storage, new, [KEY.public]).vouched_by(KEY)
    LogWriter(storage, new).commit([encode(GapEntry(THREE, 20, 21, "x"))])
    found = checked(prove_record(storage, THREE, 7))
    assert (found.problems, found.signed_by) == ([], str(new.public))
    size = checkpoint.parse(kept or b"").size
    assert checked(prove_consistency(storage, size), kept).problems == []


def test_the_commands(storage: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who, other = Producer(tenant="acme"), Producer(tenant="acme")
    add(storage, [who.created(), other.created(), who.ended()])
    (tmp_path / "kept").write_bytes(storage.read(CHECKPOINT) or b"")
    add(storage, [other.ended()])
    (tmp_path / "proof").write_text(command(tmp_path, "prove", "--record", "0@2"))
    (tmp_path / "goes on").write_text(command(tmp_path, "prove", "--since", "4"))
    rows = command(tmp_path, "export").splitlines()
    (tmp_path / "row").write_text(rows[2])
    (tmp_path / "another").write_text(rows[3])
    (tmp_path / "better").write_text(rows[2].replace("FINISHED", "FAILED"))
    monkeypatch.delenv("MATIH_AUDIT_ARCHIVE")
    monkeypatch.delenv("MATIH_AUDIT_KEY_FILE")
    monkeypatch.chdir(tmp_path)

    def check_(*words: str, code: int = 0) -> str:
        return command(tmp_path / "elsewhere", "check", "--public-key", str(KEY.public), *words, code=code)

    assert "RunEnded" in check_("proof")
    assert check_("proof").endswith("\nproven\n")
    assert check_("proof", "--record", "row").endswith("\nproven\n")
    assert "payload" in check_("proof", "--record", "better", code=1)
    assert "NOT proven" in check_("proof", "--record", "another", code=1)
    assert "not the one whose hash" in check_("proof", "--record", "kept", code=1)
    assert "you kept" in check_("goes on", code=1)
    assert "goes on from its first 4 entries" in check_("goes on", "--checkpoint", "kept")
    assert json.loads(check_("proof", "--json"))["row"] == json.loads(rows[2])
    assert "No such file" in check_("none", code=2)
    assert "no JSON" in check_("kept", code=1)
    assert "no accepted key" in command(
        tmp_path, "check", "proof", "--public-key", str(notes.new_key(KEY.name).public), code=1
    )


def test_a_row_of_a_dead_letter(storage: LocalFolder, tmp_path: Path) -> None:
    add(storage, [Producer(tenant="acme").created()])
    add_letters(storage, Producer(tenant="acme"))
    rows = command(tmp_path, "export", "--dead-letters").splitlines()
    for offset, row in enumerate(rows):
        proof = command(tmp_path, "prove", "--record", f"0@{offset}", "--topic-id", LETTERS.topic_id)
        (tmp_path / "proof").write_text(proof)
        (tmp_path / "row").write_text(row)
        command(tmp_path, "check", str(tmp_path / "proof"), "--record", str(tmp_path / "row"))
        (tmp_path / "row").write_text(rows[1 - offset])
        command(tmp_path, "check", str(tmp_path / "proof"), "--record", str(tmp_path / "row"), code=1)
    assert len(rows) == 2


def test_a_public_key_and_what_is_none(storage: LocalFolder, tmp_path: Path) -> None:
    add(storage, [Producer(tenant="acme").created()])
    (tmp_path / "audit.pub").write_text(f"{KEY.public}\n")
    (tmp_path / "else").write_text("something")
    (tmp_path / "bytes").write_bytes(b"\xff")
    for key in (str(KEY.public), str(tmp_path / "audit.pub")):
        command(tmp_path, "verify", "--public-key", key)
    for key, told in {
        str(tmp_path / "none.pub"): "No such file",
        str(tmp_path): "Is a directory",
        str(tmp_path / "else"): "a public key is name+hash+base64",
        str(tmp_path / "bytes"): "no text",
        str(KEY.public)[:-4]: "a public key is name+hash+base64",
    }.items():
        assert told in command(tmp_path, "verify", "--public-key", key, code=2)


def test_an_erased_record_has_its_hash_left(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    add(storage, [who.created()])
    before = json.loads(command(tmp_path, "prove", "--record", "0@0"))
    report(tmp_path, "erase", "--run", who.run_id, "--reason", "x", "--yes")
    after = json.loads(command(tmp_path, "prove", "--record", "0@0"))
    assert (after["record"], after["record_sha256"]) == (None, before["record_sha256"])
    assert checked(after).proven
    (tmp_path / "proof").write_text(json.dumps(after))
    assert "only its hash" in command(tmp_path, "check", str(tmp_path / "proof"))
