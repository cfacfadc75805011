"""One worker process, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from matih_kafka.errors import BrokerUnavailable
from matih_kafka.framing import environment_ids, framer, reframer
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.topic_ids import topic_id
from matih_schemas.errors import MatihError
from matih_schemas.topics import catalogue
from matih_workers import faust_types
from matih_workers.attempts import Attempts, open_slot
from matih_workers.backoff import Backoff
from matih_workers.dead_letters import DeadLetters
from matih_workers.framing import waited_for
from matih_workers.health import Health
from matih_workers.ingest import Ingest
from matih_workers.lanes import Lanes
from matih_workers.positions import Source
from matih_workers.reaper.reaper import Reaper
from matih_workers.records import read
from matih_workers.settings import make_store
from matih_workers.stores.protocol import StoreUnavailable
from matih_workers.web import Pages

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from matih_kafka.settings import KafkaSettings
    from matih_schemas.topics import Topic
    from matih_workers.faust_types import App
    from matih_workers.settings import WorkerSettings
    from matih_workers.stores.protocol import RunStore

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 5.0
"""Seconds between two looks at positions that warn."""
LEAVE_SECONDS: Final = 3.0
"""Seconds that committing and leaving the group may take at the end; past it the broker notices by itself."""


class WorkerCrashed(MatihError):
    """The consumer ended by itself: nothing unfinished was acknowledged, so start the worker again."""


class WorkerProcess:
    """Runs until `stop`, or until the consumer crashes."""

    def __init__(self, settings: WorkerSettings, kafka: KafkaSettings, store: RunStore | None = None) -> None:
        """Prepares everything; connects nothing.

        Args:
            settings: the worker's.
            kafka: the connection's.
            store: instead of the one that the settings name.

        Raises:
            InvalidSettings: there is no such store.
            FolderUnusable: the worker's folder can't be used.
            InvalidName: the topic's name can't be one.
        """
        self._settings = settings
        self._kafka = kafka
        self._topic, self._dead_letters_topic = catalogue(kafka.events_topic, kafka.events_partitions)
        self._store = store or make_store(settings)
        self._folder, self._slot = open_slot(settings.worker_datadir, settings.worker_group)
        self._attempts = Attempts(self._folder)
        self._app: App | None = None
        self._lanes = Lanes()
        self.health = Health(
            lambda: faust_types.lag(self._app, self._topic.name) if self._app else None,
            settings.worker_dead_letter_share,
            self._lanes.oldest_ms,
        )
        publisher = KafkaPublisher(kafka, self._dead_letters_topic, client_id="matih-worker")
        self._dead_letters = DeadLetters(publisher, self.health)
        self._framer, self._reframe = framer(kafka), reframer(environment_ids())
        reader = partial(read, tenants=settings.worker_tenants, reframe=waited_for(self._reframe))
        self._ingest = Ingest(self._store, self._dead_letters, self._attempts, self.health, settings, reader)
        self._reaping: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._next_look = 0.0

    def stop(self) -> None:
        """Lets `run` come to its end; thread-safe only within the event loop."""
        self._stopping.set()

    async def run(self) -> None:
        """Works until `stop`; what is not acknowledged by then comes again.

        Raises:
            PortTaken: the pages' port can't be had.
            WorkerCrashed: the consumer ended by itself.
        """
        pages = Pages(self.health)
        port = await pages.start(self._settings.worker_host, self._settings.worker_port)
        logger.info("the worker's pages: http://%s:%d/status", self._settings.worker_host, port)
        opening = asyncio.create_task(self._open_store())
        try:
            if await self._until_stopped(self._wait_for_topic()):
                await self._consume()
        finally:
            opening.cancel()
            await self._close()
            await pages.stop()

    async def _open_store(self) -> None:
        """Imports and connects, side by side with Kafka; events that come earlier wait in the same call."""
        backoff = Backoff(self._settings.worker_backoff, self._settings.worker_backoff_max)
        while (outage := await self._store_outage()) is not None:
            self.health.store_fails(str(outage))
            await asyncio.sleep(backoff.next(outage.retry_after))
        self.health.store_works()

    async def _store_outage(self) -> StoreUnavailable | None:
        try:
            await asyncio.to_thread(self._store.open)
            await asyncio.to_thread(self._store.probe)
        except StoreUnavailable as error:
            return error
        return None

    async def _wait_for_topic(self) -> None:
        """Returns once Kafka has the topic and its dead letters' as the catalogue says; no other is ever consumed."""
        backoff = Backoff(self._settings.worker_backoff, self._settings.worker_backoff_max)
        for topic in (self._topic, self._dead_letters_topic):
            while (problem := await self._topic_problem(topic)) is not None:
                self.health.kafka.fails(problem)
                await asyncio.sleep(backoff.next())

    async def _topic_problem(self, topic: Topic) -> str | None:
        publisher = KafkaPublisher(self._kafka, topic, client_id="matih-worker")
        try:
            await publisher.connect()
        except BrokerUnavailable as error:
            return str(error)
        finally:
            await publisher.close()
        return None

    async def _consume(self) -> None:
        from matih_workers.app import build_app

        self._app = build_app(
            self._settings, self._kafka, self._ingest, self._lanes, self._folder, self._partitions_changed
        )
        self._app.in_worker = True
        self._ingest.source = await self._source()
        await self._app.start()
        self._reaping = asyncio.create_task(self._reap())
        while not self._stopping.is_set():
            if self._app.crashed:
                raise WorkerCrashed(f"the consumer crashed: {faust_types.crash_reason(self._app)}; start it again")
            self._look_at_kafka(self._app)
            await self._until_stopped(asyncio.sleep(WATCH_SECONDS))
            self._look_at_positions()

    async def _reap(self) -> None:
        if not self._settings.reaper:
            await self._stopping.wait()
            return
        group, silence = f"{self._settings.worker_group}-reaper", self._settings.reaper_silence
        count = self.health.metrics.reaped_runs.inc
        await Reaper(self._kafka, self._topic, group, silence, self._framer, self._reframe, count).run()

    async def _source(self) -> Source | None:
        """The topic's ids; None, and told, if the broker does not tell them."""
        try:
            found = await topic_id(self._kafka, self._topic.name)
        except BrokerUnavailable as error:
            logger.warning("a database restored from a backup will not be noticed: %s", error)
            return None
        return Source(found.cluster_id, found.topic_id, found.name)

    def _partitions_changed(self, partitions: frozenset[int] | None) -> None:
        # Another worker may have written to our runs meanwhile, or may do so from now on.
        self._store.forget()
        self.health.assigned = partitions
        if partitions is not None:
            logger.info("partitions: %s", ", ".join(map(str, sorted(partitions))) or "none")

    def _look_at_positions(self) -> None:
        """Whether what was missing was brought meanwhile, now and then: its partition may have no more events."""
        warned = self.health.partitions_warned_of()
        now = time.monotonic()
        busy = self._looking is not None and not self._looking.done()
        if warned and not busy and now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._looking = asyncio.create_task(self._look_again(warned))

    async def _look_again(self, partitions: list[int]) -> None:
        """Waits for its turn at the store, which may be a long outage."""
        try:
            await self._ingest.look_again(partitions)
        except StoreUnavailable:
            return  # the ingest says so itself, and waits
        except Exception as error:  # noqa: BLE001  # a warning that stays for longer is no reason to stop
            logger.warning("the positions can't be read, trying again: %s", error)

    def _look_at_kafka(self, app: App) -> None:
        kafka = self.health.kafka
        if not faust_types.reaches_coordinator(app):
            if kafka.state != "starting":
                kafka.fails(f"the group's coordinator at {self._kafka.bootstrap_servers} does not answer")
        elif leaderless := faust_types.leaderless(app, self._topic.name):
            numbers = ", ".join(map(str, leaderless))
            kafka.fails(
                f"no leader for partition {numbers} of {self._topic.name}: are all brokers up, and may we read it?"
            )
        else:
            kafka.works()

    async def _until_stopped(self, work: Awaitable[None]) -> bool:
        """Waits for the work or for `stop`; whether the work came to its end."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
            return False
        task.result()
        return True

    async def _close(self) -> None:
        """Lets the batch under way finish, commits, leaves the group: each within its time, 8 s in all by default."""
        self._ingest.stop()
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(_at_most(self._settings.worker_stop_timeout, self._ingest.idle()), self._end_reaping())
        await asyncio.gather(self._leave(), _at_most(1.0, self._dead_letters.close()))
        self._attempts.let_go()
        self._store.close()
        self._slot.close()

    async def _end_reaping(self) -> None:
        if self._reaping is not None:
            self._reaping.cancel()
            await asyncio.wait([self._reaping], timeout=1.0)

    async def _leave(self) -> None:
        if self._app is not None:
            await _at_most(LEAVE_SECONDS, self._app.stop())


async def _at_most(seconds: float, work: Awaitable[object]) -> None:
    try:
        await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        logger.warning("not finished within %.0f s: what was under way comes again", seconds)
