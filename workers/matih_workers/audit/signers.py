"""Whose signatures count on a log: the keys that were given, and those that they have vouched for since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_workers.audit import checkpoint as checkpoints
from matih_workers.audit import keys, notes
from matih_workers.audit.entries import Statement, statements
from matih_workers.audit.errors import InvalidNote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matih_workers.audit.checkpoint import Checkpoint
    from matih_workers.audit.log import Log
    from matih_workers.audit.notes import PublicKey


class Signers:
    """Opens checkpoints by the keys that count."""

    def __init__(self, log: Log, accepted: Sequence[PublicKey], statements: Iterable[Statement], since: int) -> None:
        """Reads the rotations that stand beside the log.

        Args:
            log: what was signed.
            accepted: whose signatures count from the beginning.
            statements: what the log says behind its first `since` entries.
            since: how many entries were not read; their rotations are looked for only where a signer is unknown.
        """
        self._log, self._unread = log, since
        self._vouchers = log.vouchers()
        said = [note for one in statements if (note := keys.note_of(one)) is not None]
        self._keys = keys.endorsed(accepted, [*self._vouchers.values(), *said])

    def open(self, signed: bytes) -> tuple[Checkpoint, PublicKey]:
        """The checkpoint, and the key that signed it.

        Raises:
            InvalidNote: it is none, or no key that counts signed it.
            Damaged: the log that may vouch for its key can't be read.
        """
        try:
            return checkpoints.open_checkpoint(signed, self._keys)
        except InvalidNote:
            if not self._unread:
                raise
        # Archives of earlier releases have their rotations in the log alone.
        self._keys = keys.endorsed(self._keys, self._said_before())
        self._unread = 0
        return checkpoints.open_checkpoint(signed, self._keys)

    def strangers(self) -> dict[str, str]:
        """The files of rotations that nobody whose signature counts has signed: why, by path."""
        told = {path: self._why_not(note) for path, note in self._vouchers.items()}
        return {path: why for path, why in told.items() if why}

    def _why_not(self, note: bytes) -> str:
        try:
            notes.open_note(note, self._keys)
        except InvalidNote as error:
            return str(error)
        return ""

    def _said_before(self) -> Iterator[bytes]:
        for _, said in statements(self._log.entries(0, self._unread)):
            if (note := keys.note_of(said)) is not None:
                yield note
