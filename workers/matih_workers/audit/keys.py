"""New keys of a log, each vouched for by one that was accepted before. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_workers.audit import notes
from matih_workers.audit.entries import Statement
from matih_workers.audit.errors import InvalidKey, InvalidNote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matih_workers.audit.notes import PublicKey, SigningKey

TYPE: Final = "key"
_TEXT: Final = "matih audit: from now on this key signs too\n"


def rotation(old: SigningKey, new: PublicKey) -> Statement:
    """What the log says of a new key: a note that the old one signed. It needs no log to be believed."""
    return Statement(TYPE, {"note": old.sign(f"{_TEXT}{new}\n").decode()})


def note_of(statement: Statement) -> bytes | None:
    """The signed note by which the statement vouches for a key; None if it is about something else."""
    return str(statement.body.get("note", "")).encode() if statement.type == TYPE else None


def endorsed(accepted: Sequence[PublicKey], vouchers: Iterable[bytes]) -> list[PublicKey]:
    """The accepted keys, and those that the notes make of them, in whatever order the notes come."""
    keys, left, before = list(accepted), list(vouchers), -1
    while len(left) != before:
        before, left = len(left), [note for note in left if not _taken(note, keys)]
    return keys


def _taken(note: bytes, keys: list[PublicKey]) -> bool:
    """Adds the key that the note vouches for, if one of the keys signed it: others accept nobody for us."""
    try:
        text, _ = notes.open_note(note, keys)
        if text.startswith(_TEXT):
            keys.append(notes.public_key(text.removeprefix(_TEXT)))
    except (InvalidNote, InvalidKey):
        return False
    return True
