"""One `matih replay --missing`, from the store's positions to its report: the I/O, in its order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from matih_kafka.progress import committed
from matih_kafka.rate import Rate
from matih_workers.replay.deeds import Recorded, unrecorded
from matih_workers.replay.gaps import missing
from matih_workers.replay.mending import Mending
from matih_workers.replay.ranges import Ranges, text
from matih_workers.replay.run import report_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matih_workers.positions import Source
    from matih_workers.replay.access import Access
    from matih_workers.replay.gaps import Missing
    from matih_workers.replay.source import RecordSource


class Restoring:
    """What one store has not seen of one topic."""

    def __init__(self, access: Access) -> None:
        """Connects nothing yet."""
        self._access = access

    async def missing(self) -> dict[str, Any]:
        """What the store lacks of the topic, by its positions, for a report.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
            StoreUnavailable: the store does not answer.
        """
        async with self._access.source() as source:
            found = await self._missing(source)
        return {"mode": "missing", "topic": source.topic.topic, **found.as_json(), "dry_run": True}

    async def mend(
        self,
        rate: float | None,
        begin: Callable[[int], Callable[[int], None]],
        recorded: Recorded = unrecorded,
        *,
        give_up: bool,
    ) -> dict[str, Any]:
        """Brings what is missing, and closes the gaps in the positions.

        Args:
            rate: events per second at most.
            begin: for the progress.
            recorded: records the deed, if there is anything to be done.
            give_up: what is nowhere any more is settled as lost.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
            StoreUnavailable: the store does not answer at the beginning or the end; in between it is waited for.
        """
        async with self._access.source() as source:
            found = await self._missing(source)
            if found:
                await recorded()
            mending = Mending(self._access.store, self._access.settings, Rate(rate), source)
            told = begin(found.events)
            settled = await self._bring_former(source.topic, mending, found, told)
            await mending.bring(found.there, told)
            if give_up:
                settled |= {number: one.topic_id for number, one in found.former.items()}
            done = _joined(found.there, found.lost if give_up else {})
            await asyncio.to_thread(mending.close, done, settled)
            left = await asyncio.to_thread(mending.still_open, done)
        lost = {} if give_up else found.lost
        return {
            "mode": "missing",
            "topic": source.topic.topic,
            **found.as_json(),
            **report_of(mending.outcomes),
            "given_up": bool(give_up and (found.lost or found.former)),
            "left": {str(number): text(some) for number, some in sorted(_joined(lost, left).items())},
            "former_left": sorted(found.former.keys() - settled.keys()),
        }

    async def _bring_former(
        self, topic: Source, mending: Mending, found: Missing, told: Callable[[int], None]
    ) -> dict[int, str]:
        """Brings what an archive holds of former topics; returns those of which it held all."""
        settled: dict[int, str] = {}
        ids = {one.topic_id for one in found.former.values()}
        formers = [self._access.archived(topic._replace(topic_id=one)) for one in sorted(ids)]
        for former in filter(None, formers):
            whole = await mending.bring_former(former, found, told)
            settled |= dict.fromkeys(whole, former.topic.topic_id)
        return settled

    async def _missing(self, source: RecordSource) -> Missing:
        acknowledged = await committed(self._access.kafka, self._access.settings.worker_group, source.topic.topic)
        held = await source.held()
        positions = await asyncio.to_thread(self._access.store.positions, source.topic, list(held))
        return missing(positions, acknowledged, held, source.topic.topic_id)


def _joined(some: Mapping[int, Ranges], others: Mapping[int, Ranges]) -> dict[int, Ranges]:
    return {number: (*some.get(number, ()), *others.get(number, ())) for number in some.keys() | others.keys()}
