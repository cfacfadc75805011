"""Copies of the checkpoints in another place: whoever holds them knows an archive that was made up later."""

from __future__ import annotations

import logging

from matih_workers.audit.errors import StorageUnavailable
from matih_workers.audit.storage import Storage, open_storage

logger = logging.getLogger(__name__)


class Anchor:
    """A folder, or a bucket with Object Lock. Archiving never waits for it: what it misses, the next copy covers."""

    def __init__(self, place: str) -> None:
        """Opens it; none if `place` is empty.

        Raises:
            StorageUnavailable: it needs a library that is not installed.
        """
        self._storage: Storage | None = open_storage(place) if place else None

    def put(self, size: int, signed: bytes) -> bool:
        """Copies a checkpoint; whether it is there, or there is no anchor."""
        if self._storage is None:
            return True
        try:
            self._storage.write({f"{size:020}": signed})
        except StorageUnavailable as error:
            logger.warning("checkpoint %d is not anchored: %s", size, error)
            return False
        return True
