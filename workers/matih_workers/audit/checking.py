"""Proofs, checked by whoever gets them: with a public key, and nothing of the archive. Pure."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matih_workers.audit import checkpoint as checkpoints
from matih_workers.audit import keys, merkle
from matih_workers.audit import record as record_bytes
from matih_workers.audit.entries import RecordEntry, decode
from matih_workers.audit.errors import AuditError, Damaged, InvalidNote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_workers.audit.checkpoint import Checkpoint
    from matih_workers.audit.notes import PublicKey
    from matih_workers.audit.record import ArchivedRecord


class InvalidProof(AuditError):
    """It is no proof that `matih audit prove` printed: ask for it again, whole."""


@dataclass
class Checked:
    """What a proof says, and what of it does not hold.

    Attributes:
        checkpoint: of which log.
        signed_by: the key that signed the checkpoint; empty if none that counts did.
        entry: of an inclusion proof, the record's place and hash.
        index: and its entry's number in the log.
        record: the record with that hash, if the proof has it.
        old_size: of a consistency proof, how many entries the older log has; 0 of an inclusion proof.
        problems: why it proves nothing; empty if it does.
    """

    checkpoint: Checkpoint
    signed_by: str = ""
    entry: RecordEntry | None = None
    index: int = 0
    record: ArchivedRecord | None = None
    old_size: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def proven(self) -> bool:
        """Whether it shows what it says."""
        return not self.problems


def check(proof: Any, accepted: Sequence[PublicKey], kept: bytes | None = None) -> Checked:
    """What the proof shows.

    Args:
        proof: the object that `matih audit prove` printed.
        accepted: whose signatures count, and those of the keys that they have vouched for.
        kept: a signed checkpoint that whoever checks has from elsewhere. A consistency proof needs it.

    Raises:
        InvalidProof: it is none.
    """
    try:
        signed, known = proof["checkpoint"].encode(), keys.endorsed(accepted, map(str.encode, proof.get("keys", [])))
        found, path = Checked(checkpoints.parse(signed)), [base64.b64decode(one) for one in proof["proof"]]
        _check_signature(found, signed, known)
        if "old_size" in proof:
            _check_consistency(found, int(proof["old_size"]), path, _opened(found, kept, known))
        else:
            _check_inclusion(found, proof, path)
            _check_kept(found, _opened(found, kept, known))
    except InvalidNote as error:
        raise InvalidProof(f"its checkpoint: {error}") from error
    except Damaged as error:
        raise InvalidProof(str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidProof(f"it is no proof that `matih audit prove` printed: {error!r}") from error
    return found


def check_bytes(found: Checked, record: bytes) -> None:
    """Notes it as a problem if these are not the bytes of the proof's record."""
    if found.entry is None or hashlib.sha256(record).digest() != found.entry.digest:
        found.problems.append("the record given is not the one whose hash is in the log")


def _check_signature(found: Checked, signed: bytes, known: Sequence[PublicKey]) -> None:
    try:
        found.signed_by = str(checkpoints.open_checkpoint(signed, known)[1])
    except InvalidNote as error:
        found.problems.append(f"its checkpoint: {error}")


def _check_inclusion(found: Checked, proof: Any, path: list[bytes]) -> None:
    encoded = base64.b64decode(proof["entry"])
    entry, found.index = decode(encoded), int(proof["index"])
    if not isinstance(entry, RecordEntry):
        raise InvalidProof("its entry is not that of a record")
    found.entry = entry
    if (str(entry.partition), entry.offset) != (proof["partition"], proof["offset"]):
        found.problems.append(f"its entry is of {entry.partition}, offset {entry.offset}: it names another place")
    if entry.digest.hex() != proof["record_sha256"]:
        found.problems.append("its entry has another hash than it names")
    log = found.checkpoint
    if not merkle.verify_inclusion(merkle.leaf_hash(encoded), found.index, log.size, path, log.root):
        found.problems.append("its hashes do not lead from the entry to the root of the checkpoint")
    if proof.get("record") is not None:
        _check_record(found, base64.b64decode(proof["record"]))


def _check_record(found: Checked, encoded: bytes) -> None:
    assert found.entry is not None
    check_bytes(found, encoded)
    record, end = record_bytes.decode(encoded)
    if end != len(encoded) or record.offset != found.entry.offset:
        found.problems.append("its record is not one record of that offset")
    if found.proven:
        found.record = record


def _opened(found: Checked, kept: bytes | None, known: Sequence[PublicKey]) -> Checkpoint | None:
    try:
        return None if kept is None else checkpoints.open_checkpoint(kept, known)[0]
    except InvalidNote as error:
        found.problems.append(f"the checkpoint that was kept: {error}")
        return None


def _check_kept(found: Checked, kept: Checkpoint | None) -> None:
    """Holds the proof's checkpoint against the one that was kept."""
    if kept is None:
        return
    if (kept.origin, kept.size) != (found.checkpoint.origin, found.checkpoint.size):
        told = f"the checkpoint that was kept is of {kept.size} entries of {kept.origin}"
        found.problems.append(f"{told}: ask for the proof that the log goes on from it, and check that too")
    elif kept.root != found.checkpoint.root:
        found.problems.append("the checkpoint that was kept has another root: the log was made up anew")


def _check_consistency(found: Checked, old_size: int, path: list[bytes], kept: Checkpoint | None) -> None:
    found.old_size, log = old_size, found.checkpoint
    if kept is None:
        found.problems.append(f"it is about a checkpoint of {old_size} entries: give the one that you kept")
    elif (kept.origin, kept.size) != (log.origin, old_size):
        told = f"the checkpoint that was kept is of {kept.size} entries of {kept.origin}"
        found.problems.append(f"{told}, the proof of {old_size} of {log.origin}")
    elif not merkle.verify_consistency(old_size, kept.root, log.size, log.root, path):
        found.problems.append("its hashes do not lead from the kept checkpoint to its own: the log was made up anew")
