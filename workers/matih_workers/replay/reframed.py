"""A source of records with a registry's ids resolved: what comes after it knows one framing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from matih_schemas import codec
from matih_schemas.errors import NewerSchema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from matih_schemas.codec import Reframe
    from matih_workers.records import Received
    from matih_workers.replay.ranges import Ranges
    from matih_workers.replay.source import Held, Parts, RecordSource


class Reframed:
    """Another source's records, in single-object encoding; one whose schema nobody knows stays as it stood."""

    def __init__(self, source: RecordSource, reframe: Reframe) -> None:
        self.topic = source.topic
        self._source = source
        self._reframe = reframe

    async def held(self) -> Held:
        """What the source holds; see `RecordSource`."""
        return await self._source.held()

    def records(self, wanted: Mapping[int, Ranges]) -> Parts:
        """The records; see `RecordSource`. They raise `RegistryUnavailable` while an id can't be asked for."""
        return {number: self._part(part) for number, part in self._source.records(wanted).items()}

    async def _part(self, part: AsyncIterator[Sequence[Received]]) -> AsyncIterator[Sequence[Received]]:
        async for records in part:
            if any((record.value or b"")[:1] == codec.CONFLUENT for record in records):
                yield await asyncio.to_thread(self._all, records)
            else:
                yield records

    def _all(self, records: Sequence[Received]) -> list[Received]:
        return [self._one(record) for record in records]

    def _one(self, record: Received) -> Received:
        try:
            return replace(record, value=self._reframe(record.value or b"", record.headers))
        except NewerSchema:
            return record
