"""How far a replay has come, so that one that was killed goes on: in a consumer group, or in a file without Kafka."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from matih_workers.audit.errors import Damaged
from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Progress(Protocol):
    """The progress of one replay on one topic.

    Attributes:
        found: where one of this name that did not come to its end has to go on, by partition; else empty.
    """

    found: dict[int, int]

    async def save(self, offsets: Mapping[int, int]) -> None:
        """Notes the next offset of each of these partitions.

        Raises:
            KafkaError, AuditError: it can't be noted.
        """

    async def finish(self, offsets: Mapping[int, int]) -> None:
        """Notes that the replay came to its end: the next one of this name begins anew. Raises as `save`."""


class FileProgress:
    """`Progress` in a file of its own, which is whole whenever its writer dies."""

    def __init__(self, folder: Path, name: str) -> None:
        """Reads what a replay of that name has left.

        Args:
            folder: made if need be.
            name: of the replay and its topic.

        Raises:
            Damaged: somebody else has written that file.
        """
        self._folder, self._file = LocalFolder(folder), f"{quote(name, safe='')}.json"
        try:
            kept = json.loads(self._folder.read(self._file) or b"{}")
            self.found = {int(number): int(offset) for number, offset in kept.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise Damaged(f"{folder / self._file} is no progress of a replay: remove it, and it begins anew") from error
        self._next = dict(self.found)

    async def save(self, offsets: Mapping[int, int]) -> None:
        """Writes the file anew; see `Progress`."""
        self._next |= offsets
        data = json.dumps({str(number): offset for number, offset in self._next.items()}).encode()
        await asyncio.to_thread(self._folder.write, {self._file: data})

    async def finish(self, _offsets: Mapping[int, int]) -> None:
        """Removes the file; see `Progress`."""
        await asyncio.to_thread(self._folder.delete, self._file)
