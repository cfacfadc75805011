"""A checkpoint: what the whole log is, at one size, in one signed text. Pure. https://c2sp.org/tlog-checkpoint."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

from matih_workers.audit import notes
from matih_workers.audit.errors import InvalidNote
from matih_workers.audit.merkle import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.audit.notes import PublicKey, SigningKey


class Checkpoint(NamedTuple):
    """The log `origin` has `size` entries, and this root hash."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """The signed note of a checkpoint."""
    return key.sign(checkpoint.text())


def open_checkpoint(data: bytes, keys: Iterable[PublicKey]) -> tuple[Checkpoint, PublicKey]:
    """The checkpoint in a signed note, and the key that signed it.

    Raises:
        InvalidNote: it is none, or none of the keys signed it.
    """
    text, key = notes.open_note(data, keys)
    found = _parse(text)
    if found.origin != key.name:
        raise InvalidNote(f"the checkpoint is of the log {found.origin}, the key of {key.name}")
    return found, key


def parse(data: bytes) -> Checkpoint:
    """The checkpoint in a signed note, whoever signed it.

    Raises:
        InvalidNote: it is none.
    """
    return _parse(notes.parse_note(data)[0])


def _parse(text: str) -> Checkpoint:
    lines = text.split("\n")
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError, binascii.Error) as error:
        raise InvalidNote("it is no checkpoint: origin, size, root hash") from error
    if not origin or str(size) != lines[1] or size < 0 or len(root) != HASH_BYTES:
        raise InvalidNote("it is no checkpoint: origin, size, root hash")
    return Checkpoint(origin, size, root)
