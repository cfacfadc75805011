"""How much the event gateway takes at a time: tenants' quotas, and the bytes that are under way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from matih_api.problems import too_many
from matih_schemas.event_batch import EVENT_MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_api.gateway import Batch

MAX_BYTES_IN_FLIGHT: Final = 32 << 20
RETRY_AFTER: Final = 1

Admit = Callable[[str, int, int], None]
"""Called with tenant, events and bytes before they are published; raises `Problem` 429 if it is too much."""


def everything(tenant: str, events: int, size: int) -> None:
    """Admits everything: no quotas."""


class Admission:
    """Whether a batch may come in now. Used from one event loop.

    Attributes:
        max_event_bytes: of one event.
    """

    def __init__(
        self,
        admit: Admit = everything,
        max_bytes: int = MAX_BYTES_IN_FLIGHT,
        max_event_bytes: int = EVENT_MAX_BYTES,
    ) -> None:
        """Nothing is under way yet.

        Args:
            admit: the tenants' quotas.
            max_bytes: bytes of bodies that one process reads and publishes at a time.
            max_event_bytes: of one event.
        """
        self.max_event_bytes = max_event_bytes
        self._admit = admit
        self._max_bytes = max_bytes
        self._bytes = 0

    @contextmanager
    def room(self, size: int) -> Iterator[Room]:
        """Room for so many bytes, for the time of the block.

        Raises:
            Problem: 429, others have taken too many; a body alone always has room.
        """
        room = Room(self)
        try:
            room.resize(size)
            yield room
        finally:
            self._bytes -= room.size

    def admit(self, batch: Batch) -> None:
        """Counts a batch against its tenants' quotas.

        Raises:
            Problem: 429, one of them has used it up.
        """
        for tenant, volume in batch.volumes.items():
            self._admit(tenant, volume.events, volume.bytes)

    def _take(self, size: int, before: int) -> None:
        others = self._bytes - before
        if others and others + size > self._max_bytes:
            raise too_many(
                "bytes-in-flight", f"{others} bytes of events are under way here: try again in a moment", RETRY_AFTER
            )
        self._bytes = others + size


class Room:
    """What one request takes of the bytes under way.

    Attributes:
        size: in bytes.
    """

    def __init__(self, admission: Admission) -> None:
        self.size = 0
        self._admission = admission

    def resize(self, size: int) -> None:
        """It turned out to be more, or less.

        Raises:
            Problem: 429, others have taken too many.
        """
        self._admission._take(size, self.size)
        self.size = size
