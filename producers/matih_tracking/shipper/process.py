"""The shipper's loop: look into the journals, coalesce, publish, move the cursors, tidy up."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matih_kafka.framing import SINGLE_OBJECT
from matih_kafka.rate import Rate
from matih_schemas.clock import now_ms
from matih_tracking.shipper.alarm import Alarm
from matih_tracking.shipper.coalesce import Coalescer, Outgoing, Skipped
from matih_tracking.shipper.delivery import Delivery
from matih_tracking.shipper.heart import Heart
from matih_tracking.shipper.outage import Outage
from matih_tracking.shipper.pace import window
from matih_tracking.shipper.tail import READ_BYTES, Tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_kafka.framing import EventFramer
    from matih_kafka.publisher import Publisher
    from matih_tracking.shipper.journals import Journals

TIDY_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 0.25
SILENCE_SECONDS: Final = 5.0
"""No answer from Kafka for so long is an outage that is told, though nothing has failed yet."""
_RETRY_FIRST: Final = 0.2
_RETRY_MAX: Final = 5.0
_LOOK_SECONDS: Final = 0.01
"""Per open journal: a look at a writer's lock takes a quarter of a millisecond, so hundreds are spread over time."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What a shipper has done since its start.

    Attributes:
        entries: acknowledged by Kafka.
        skipped: entries that no event could be made of.
        lost_bytes: what dead writers left behind their last whole entry.
    """

    entries: int = 0
    skipped: int = 0
    lost_bytes: int = 0


class Shipper:
    """Carries journals to Kafka until `is_done` says so, or it is stopped.

    Attributes:
        journals: what it carries.
        counts: what it has done.
        outage: whether Kafka takes it.
        busy_at: the moment (of time.monotonic()) when there was a journal the last time.
    """

    def __init__(
        self,
        journals: Journals,
        publisher: Publisher,
        is_done: Callable[[Shipper], bool],
        each_second: Callable[[Shipper], None] | None = None,
        framer: EventFramer = SINGLE_OBJECT,
        rate: float = 0,
    ) -> None:
        """Does nothing yet; `rate`: entries a second that it reads on average, 0 for as many as it can."""
        self.journals = journals
        self.counts = Counts()
        self.outage = Outage()
        self.busy_at = time.monotonic()
        self._publisher = publisher
        self._is_done = is_done
        self._each_second = each_second
        self._alarm = Alarm()
        self._coalescer = Coalescer()
        self._delivery = Delivery(publisher, framer, journals.prefix_of, self._alarm.ring)
        self._heart = Heart()
        self._rate = Rate(rate or None)
        self._retry = _RETRY_FIRST
        self._events_before = 0
        self._tidy_at = 0.0
        self._stop_at: float | None = None

    def stop(self, drain_seconds: float) -> None:
        """Ends soon: once what is in the journals by now is on Kafka, and in any case after so many seconds."""
        now = time.monotonic()
        self._stop_at = now + drain_seconds
        self.journals.refresh(now, at_once=True)  # a journal that came since the last turn would be left behind
        for tail in self.journals:
            self.journals.guarded(tail, _look_again)
        self._alarm.ring()

    @property
    def is_drained(self) -> bool:
        """Whether everything that was in the journals at the last look is on Kafka."""
        return all((tail.at_end or not tail.has_more) and tail.prefix.is_complete for tail in self.journals)

    async def run(self) -> None:
        """Ships. An outage of Kafka never ends it."""
        try:
            while not self._finished():
                if self._delivery.failure is None:
                    await self._turn()
                else:
                    await self._start_over()
        finally:
            await self._publisher.close()
            self._store_cursors()
            for tail in self.journals:
                self.journals.guarded(tail, self._remove_if_over)
            self.journals.close()

    def _finished(self) -> bool:
        now = time.monotonic()
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_SECONDS
            self._tidy(now)
        if self._stop_at is not None:
            return now >= self._stop_at or self.is_drained or self.outage.reason is not None
        return self._is_done(self)

    async def _start_over(self) -> None:
        """Goes back to the cursors and connects, after a pause that grows until something arrives again."""
        self._store_cursors()
        self._coalescer.clear()
        for tail in self.journals:
            self.journals.guarded(tail, Tail.rewind)
        if self._delivery.has_failed:
            self.outage.lost(str(self._delivery.failure), time.monotonic())
            self._events_before = self._delivery.events
            self._alarm.clear()
            await self._alarm.sleep(self._retry)
            self._retry = min(_RETRY_MAX, self._retry * 2)
        connecting = asyncio.ensure_future(self._delivery.connect())
        while not connecting.done():
            if self._finished():
                connecting.cancel()
            await asyncio.wait({connecting}, timeout=QUIET_SECONDS)
        if not connecting.cancelled():
            connecting.result()

    async def _turn(self) -> None:
        self.journals.refresh(time.monotonic())
        for tail in self.journals:
            if self._may_read and tail.pace.at <= time.monotonic() and tail.has_more:
                self.journals.guarded(tail, self._read)
                self._publish()
                await asyncio.sleep(0)
        self._publish()
        self._store_cursors()
        await self._alarm.sleep(self._pause())

    @property
    def _may_read(self) -> bool:
        return self._delivery.has_room and self._rate.at <= time.monotonic()

    def _read(self, tail: Tail) -> None:
        now = time.monotonic()
        batch = tail.read()
        self._rate.took(len(batch.payloads), now)
        if batch.payloads and tail.source is not None:
            tail.pace.found(now, more=batch.ends[-1] - batch.start.offset > READ_BYTES // 2)
            skipped = self._coalescer.add(tail.source, batch.start.number, batch.payloads, now)
            self._tell_skipped(tail, skipped)
        else:
            tail.pace.quiet(now)
        if tail.ended:
            self._tell_lost(tail)
            self._end(tail)

    def _end(self, tail: Tail) -> None:
        """Says how it ended for a writer that is dead and did not."""
        if tail.owner_gone and not tail.died_told and tail.needs_end() and tail.source is not None:
            tail.died_told = True
            self._coalescer.died(tail.source, tail.next_number - 1, tail.last_time())

    def _tell_lost(self, tail: Tail) -> None:
        if tail.lost_bytes and not tail.lost_told:
            tail.lost_told = True
            self.counts.lost_bytes += tail.lost_bytes
            _log.warning("%s: its writer died in an entry; its %d bytes are left out", tail.path, tail.lost_bytes)

    def _tell_skipped(self, tail: Tail, skipped: list[Skipped]) -> None:
        new = [item for item in skipped if item.number >= tail.told_upto]
        tail.told_upto = max(tail.told_upto, tail.next_number)
        if new:
            self.counts.skipped += len(new)
            _log.error("%s: %d entries are skipped; number %d: %s", tail.path, len(new), new[0].number, new[0].reason)

    def _publish(self) -> None:
        stopping = self._stop_at is not None
        waits = 0.0 if stopping else window(len(self.journals.tails))
        for outgoing in self._coalescer.take(time.monotonic(), waits):
            self._delivery.hand_over(outgoing)

    def _store_cursors(self) -> None:
        for tail in self.journals:
            self.journals.guarded(tail, self._store_cursor)

    def _store_cursor(self, tail: Tail) -> None:
        self.counts.entries += tail.store_cursor()

    def _pause(self) -> float:
        """Seconds until there is something to do."""
        now = time.monotonic()
        due = self._coalescer.next_due(window(len(self.journals.tails)))
        moments = [now + QUIET_SECONDS] if due is None else [due]
        if self._delivery.has_room:
            moments += [max(tail.pace.at, self._rate.at) for tail in self.journals if tail.has_more]
        return min(moments) - now

    def _tidy(self, now: float) -> None:
        """What is done about once a second: the dead, the delivered, the heartbeats, the silence."""
        for tail in self.journals:
            self.journals.guarded(tail, self._tidy_tail)
        if self.journals.tails:
            self.busy_at = now
        if self._delivery.failure is None:
            self._beat()
            self._listen(now)
        if self._each_second is not None:
            self._each_second(self)

    def _tidy_tail(self, tail: Tail) -> None:
        if tail.at_end and time.monotonic() >= tail.look_at:  # while it grows, its writer lives
            tail.look_at = time.monotonic() + _LOOK_SECONDS * len(self.journals.tails)
            tail.look_for_owner()
        tail.delete_acked()
        if tail.ended:
            self._end(tail)
        self._remove_if_over(tail)

    def _remove_if_over(self, tail: Tail) -> None:
        if tail.is_over:
            self.journals.remove(tail)
        elif tail.stuck and tail.prefix.is_complete:
            self.journals.drop(tail)

    def _beat(self) -> None:
        sources = [tail.source for tail in self.journals if not tail.ended and not tail.owner_gone]
        alive = [source for source in sources if source is not None and source.has_run]
        for event in self._heart.beats(alive, now_ms()):
            self._delivery.hand_over(Outgoing(event, {}))

    def _listen(self, now: float) -> None:
        """Notes whether Kafka takes what it gets, by what it acknowledges."""
        since = self._publisher.waiting_since
        if since is not None and now - since > SILENCE_SECONDS:
            self.outage.lost(f"Kafka, or the gateway to it, has not answered for {now - since:.0f} s", now)
        elif (since is None and self.is_drained) or self._delivery.events > self._events_before:
            self.outage.over(now)
            self._retry = _RETRY_FIRST


def _look_again(tail: Tail) -> None:
    """Makes sure that the tail is read to what is its end now."""
    tail.look_for_owner()
    tail.at_end = False
    tail.pace.hurry()
