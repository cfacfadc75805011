"""Copies of the checkpoints in another place: whoever holds them knows an archive that was made up later."""

from __future__ import annotations

import logging

from matih_workers.audit.errors import InvalidNote, StorageUnavailable
from matih_workers.audit.notes import parse_note
from matih_workers.audit.storage import Storage, open_storage

logger = logging.getLogger(__name__)


class Anchor:
    """A folder, or a bucket with Object Lock. Archiving never waits for it: what it misses, the next copy covers.

    It only ever creates: credentials that may do nothing else are enough, and should be all that the archiver has.
    """

    def __init__(self, place: str) -> None:
        """Opens it; none if `place` is empty.

        Raises:
            StorageUnavailable: it needs a library that is not installed.
        """
        self._storage: Storage | None = open_storage(place) if place else None

    def put(self, size: int, signed: bytes) -> bool:
        """Copies a checkpoint; whether it is there, or there is no anchor. One that is there already stays."""
        if self._storage is None:
            return True
        path = f"{size:020}"
        try:
            if self._storage.create(path, signed) or _same(self._storage, path, signed):
                return True
        except StorageUnavailable as error:
            logger.warning("checkpoint %d is not anchored: %s", size, error)
            return False
        logger.error(
            "the anchor has another checkpoint of %d entries: was the archive put back, or made up anew? "
            "`matih audit verify --checkpoint` tells",
            size,
        )
        return False


def _same(anchor: Storage, path: str, signed: bytes) -> bool:
    """Whether the anchor has this checkpoint already, or does not let us see which one it has."""
    try:
        there = anchor.read(path)
        return there is None or parse_note(there)[0] == parse_note(signed)[0]
    except StorageUnavailable:
        return True
    except InvalidNote:
        return False
