"""Brings what a store has not seen, and closes the gaps in its positions, while the workers run on.

The events of a gap come after later ones of their runs, which is what redelivery is made for (merge.py). Two things it
does not cover, so the later events of the same keys are applied once more behind the gap: those that were refused since
their run was in the gap, and deletions, restorations and updates, whose order is the topic's alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_schemas.clock import now_ms
from matih_workers.positions import Span, Spans
from matih_workers.replay.gaps import is_ordered
from matih_workers.replay.ranges import common, without
from matih_workers.replay.run import Replay, Unsaved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matih_kafka.rate import Rate
    from matih_workers.records import Received
    from matih_workers.replay.gaps import Missing
    from matih_workers.replay.ranges import Ranges
    from matih_workers.replay.run import Outcome
    from matih_workers.replay.source import RecordSource
    from matih_workers.settings import WorkerSettings
    from matih_workers.stores.protocol import RunStore

CLOSE_TRIES: Final = 10


class Mending:
    """One topic's gaps in one store."""

    def __init__(self, store: RunStore, settings: WorkerSettings, rate: Rate, source: RecordSource) -> None:
        self._store = store
        self._settings = settings
        self._rate = rate
        self._source = source
        self._keys: set[bytes | None] = set()
        self.outcomes: list[Outcome] = []

    async def bring(self, wanted: Mapping[int, Ranges], told: Callable[[int], None]) -> None:
        """Applies these offsets, and what depends on them; killed, it is to be done anew, which changes nothing.

        Raises:
            KafkaError: the records can't be had.
        """
        await self._bring(self._source, wanted, {number: some[-1].stop for number, some in wanted.items()}, told)

    async def bring_former(self, former: RecordSource, missing: Missing, told: Callable[[int], None]) -> set[int]:
        """Applies what an archive holds of the topic that had the name before, and was not applied.

        Where the store's position names no former topic it never had an event of it, or was told of the topic of today
        first: there all that is held is applied, which changes nothing where it was.

        Returns:
            The partitions of which it held all that was missing.

        Raises:
            KafkaError: the records can't be had.
        """
        held = await former.held()
        wanted, whole = {}, set()
        for number, there in held.items():
            one = missing.former.get(number)
            if one is None:
                wanted[number] = there
            elif one.topic_id == former.topic.topic_id and there:
                lacked = (*one.gaps, range(one.end, max(one.end, there[-1].stop)))
                wanted[number] = common(lacked, there)
                whole |= set() if without(lacked, there) else {number}
        await self._bring(former, wanted, dict.fromkeys(wanted, 0), told)
        return whole

    def close(self, done: Mapping[int, Ranges], settled: Mapping[int, str]) -> None:
        """Notes that these offsets are applied, or given up, and that these former topics are settled.

        Raises:
            StoreUnavailable: not now.
        """
        spans = [Span(number, one.start, one.stop - 1) for number, ranges in done.items() for one in ranges]
        spans += [Span(number, 0, -1, settles=topic_id) for number, topic_id in settled.items()]
        for span in spans:
            self._store.apply([], Spans(self._source.topic, (span,), now_ms()))

    def still_open(self, closed: Mapping[int, Ranges]) -> dict[int, Ranges]:
        """What of these the positions still call missing, or do not know: without any experiment MLflow has none.

        A worker that writes through MLflow's API may have put a position back that it had read a moment before: what
        was applied is closed again then.

        Raises:
            StoreUnavailable: not now.
        """
        left: dict[int, Ranges] = {}
        for _ in range(CLOSE_TRIES):
            positions = self._store.positions(self._source.topic, list(closed))
            gaps = {number: tuple(range(*gap) for gap in one.gaps) for number, one in positions.items()}
            found = {number: common(gaps.get(number, ranges), ranges) for number, ranges in closed.items()}
            left = {number: some for number, some in found.items() if some}
            if not left:
                return {}
            self.close(left, {})
        return left

    async def _bring(
        self, source: RecordSource, wanted: Mapping[int, Ranges], behind: dict[int, int], told: Callable[[int], None]
    ) -> None:
        """Applies the records, and from the offsets behind them on what depends on them."""
        if not any(wanted.values()):
            return
        await self._apply(source, wanted, self._in_gap, told)
        ends, again = await self._apply_again(behind, self._of_keys)
        while again:  # what came meanwhile, and was applied by a worker before an older one was applied here
            ends, again = await self._apply_again(ends, self._ordered)

    async def _apply_again(
        self, starts: Mapping[int, int], wants: Callable[[Received], bool]
    ) -> tuple[dict[int, int], int]:
        """Applies what stands from these offsets on and is wanted; returns the ends, and how many were wanted."""
        held = {number: ranges for number, ranges in (await self._source.held()).items() if ranges and number in starts}
        wanted = {number: common((range(starts[number], some[-1].stop),), some) for number, some in held.items()}
        outcome = await self._apply(self._source, {n: some for n, some in wanted.items() if some}, wants)
        return {**starts, **{number: some[-1].stop for number, some in held.items()}}, outcome.seen - outcome.skipped

    async def _apply(
        self,
        source: RecordSource,
        wanted: Mapping[int, Ranges],
        wants: Callable[[Received], bool],
        told: Callable[[int], None] = lambda _: None,
    ) -> Outcome:
        replay = Replay(self._store, self._settings, self._rate)
        self.outcomes.append(replay.outcome)
        await replay.run(source, wanted, wants, Unsaved(), told)
        return replay.outcome

    def _in_gap(self, record: Received) -> bool:
        self._keys.add(record.key)
        return True

    def _of_keys(self, record: Received) -> bool:
        return record.key in self._keys

    def _ordered(self, record: Received) -> bool:
        return record.key in self._keys and is_ordered(record)
