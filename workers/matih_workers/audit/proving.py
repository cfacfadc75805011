"""Proofs for who has a checkpoint and not the archive: that a record is in the log, that a log goes on from another.

`checking.py` is for whoever gets one.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from matih_workers.audit import checkpoint as checkpoints
from matih_workers.audit import merkle, tiles
from matih_workers.audit import record as record_bytes
from matih_workers.audit.entries import record_head, record_tail
from matih_workers.audit.errors import AuditError
from matih_workers.audit.log import Log
from matih_workers.audit.reading import read_file, record_files
from matih_workers.audit.record import DIGEST_BYTES

if TYPE_CHECKING:
    from matih_workers.audit.checkpoint import Checkpoint
    from matih_workers.audit.partition import PartitionId
    from matih_workers.audit.storage import Storage


class NotInLog(AuditError):
    """The log has no such record, or no such size: there is nothing to prove."""


def prove_record(storage: Storage, partition: PartitionId, offset: int) -> dict[str, Any]:
    """The inclusion proof (RFC 6962, 2.1.1) of one record's entry in the checkpoint's log, with the record's bytes.

    Raises:
        NotInLog: there is no such record.
        Damaged: the log, or the record's file, can't be read.
        InvalidNote: there is no checkpoint.
    """
    log, signed, found = _opened(storage)
    index, entry = _find(log, found.size, partition, offset)
    proof = merkle.inclusion_proof(index, found.size, log.nodes(found.size))
    return {
        "partition": str(partition),
        "offset": offset,
        "record_sha256": entry[-DIGEST_BYTES:].hex(),
        "record": _record(storage, partition, offset),
        "entry": _text(entry),
        "index": index,
        "proof": [_text(one) for one in proof],
        "checkpoint": signed.decode(),
        "keys": _vouchers(log),
    }


def prove_consistency(storage: Storage, old: int) -> dict[str, Any]:
    """The consistency proof (RFC 6962, 2.1.2) that the log of the checkpoint goes on from its first `old` entries.

    Raises:
        NotInLog: it has fewer.
        Damaged: the log can't be read.
        InvalidNote: there is no checkpoint.
    """
    log, signed, found = _opened(storage)
    if not 0 < old <= found.size:
        raise NotInLog(f"the log has {found.size} entries: there is no log of {old} that it goes on from")
    proof = merkle.consistency_proof(old, found.size, log.nodes(found.size))
    path = [_text(one) for one in proof]
    return {"old_size": old, "proof": path, "checkpoint": signed.decode(), "keys": _vouchers(log)}


def _opened(storage: Storage) -> tuple[Log, bytes, Checkpoint]:
    log = Log(storage)
    signed = log.checkpoint()
    if signed is None:
        raise NotInLog(f"{storage}: there is no checkpoint")
    return log, signed, checkpoints.parse(signed)


def _find(log: Log, size: int, partition: PartitionId, offset: int) -> tuple[int, bytes]:
    beginning = record_head(partition) + record_tail(offset, bytes(DIGEST_BYTES))[:-DIGEST_BYTES]
    for index in range(-(-size // tiles.WIDTH)):
        for number, entry in enumerate(log.bundle(index, size)):
            if entry.startswith(beginning):
                return index * tiles.WIDTH + number, entry
    raise NotInLog(f"{partition}: offset {offset} is not in the log")


def _record(storage: Storage, partition: PartitionId, offset: int) -> str | None:
    """The record's bytes; None if its payload was erased, or if no file has it: its hash is proven all the same."""
    for file in record_files(storage.paths(partition.folder)):
        if file.first <= offset <= file.last:
            found = next((one for one in read_file(storage, file) if one.offset == offset), None)
            return None if found is None or found.erased is not None else _text(record_bytes.encode(found))
    return None


def _vouchers(log: Log) -> list[str]:
    """By them who has an older key finds the one that signed."""
    return [note.decode("utf-8", "replace") for note in log.vouchers().values()]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
