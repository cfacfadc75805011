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
    """What the log says of a new key: a note that the old one signed."""
    return Statement(TYPE, {"note": old.sign(f"{_TEXT}{new}\n").decode()})


def endorsed(accepted: Sequence[PublicKey], statements: Iterable[Statement]) -> list[PublicKey]:
    """The accepted keys, and those that the log's statements make of them, in their order."""
    keys = list(accepted)
    for statement in statements:
        if statement.type != TYPE:
            continue
        try:
            text, _ = notes.open_note(str(statement.body.get("note", "")).encode(), keys)
            if text.startswith(_TEXT):
                keys.append(notes.public_key(text.removeprefix(_TEXT)))
        except (InvalidNote, InvalidKey):  # by somebody whom we do not accept: it accepts nobody for us
            continue
    return keys
