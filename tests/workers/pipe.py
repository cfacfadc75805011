"""A worker process on a topic of its own, what is published to it, and what came out: in MLflow and as dead letters."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from tests.child import Child
from tests.waiting import until

from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.publisher import Record
from matih_kafka.settings import KafkaSettings
from matih_schemas import codec
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matih_schemas.events import TrackingEvent


class Pipe(Child):
    """One test's topic, worker and folder. `close` ends the worker."""

    def __init__(self, brokers: str, topic: str, store_uri: str, folder: Path) -> None:
        self.brokers, self.topic, self.store_uri, self.folder = brokers, topic, store_uri, folder
        self.settings = KafkaSettings(bootstrap_servers=brokers, MATIH_EVENTS_TOPIC=topic)
        self.published = 0
        self.settled_by: dict[str, str] = {}
        self.partitions = catalogue(topic)[0].partitions
        self._starts = 0

    def start(self, *, module: str = "matih_workers", **settings: str) -> None:
        """Starts a worker; `settings` are more environment variables."""
        self._starts += 1
        log = (self.folder / f"worker-{self._starts}.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], env=self.environment(**settings), cwd=self.folder, stdout=log, stderr=log
        )
        log.close()

    def environment(self, **settings: str) -> dict[str, str]:
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.brokers,
            "MATIH_EVENTS_TOPIC": self.topic,
            "MATIH_STORE_URI": self.store_uri,
            "MATIH_WORKER_GROUP": f"group-{self.topic}",
            "MATIH_WORKER_PORT": "0",
            "MATIH_WORKER_DATADIR": str(self.folder / "state"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **settings,
        }

    def log(self) -> str:
        """What the worker started last has said."""
        return (self.folder / f"worker-{self._starts}.log").read_text(encoding="utf-8")

    def exit_code(self) -> int | None:
        """The worker's, None while it runs."""
        assert self.process is not None
        return self.process.poll()

    def publish(self, events: Iterable[TrackingEvent]) -> None:
        """Publishes events, as a producer does."""
        self.publish_records(
            [Record(codec.event_key(event), codec.encode(event), tuple(codec.headers(event))) for event in events]
        )

    def publish_records(self, records: Sequence[Record]) -> None:
        asyncio.run(self._publish(records))
        self.published += len(records)

    async def _publish(self, records: Sequence[Record]) -> None:
        publisher = KafkaPublisher(self.settings, catalogue(self.topic, self.partitions)[0])
        await publisher.connect()
        await asyncio.gather(*[publisher.send(record) for record in records])
        await publisher.close()

    def page(self, path: str) -> dict[str, Any] | None:
        """A page of the worker; None while it does not answer."""
        url = next((word for word in self.log().split() if word.endswith("/status")), None)
        if url is None:
            return None
        try:
            with urllib.request.urlopen(url.replace("/status", path), timeout=5) as answer:
                return json.loads(answer.read())  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            return json.loads(error.read())  # type: ignore[no-any-return]
        except OSError:
            return None

    def status(self) -> dict[str, Any]:
        return self.page("/status") or {}

    def settled(self, seconds: float = 60.0) -> dict[str, Any]:
        """Waits until everything published is committed; the worker's report."""
        until(lambda: self.committed() == self.published, "all events committed", seconds, pause=0.2)
        return self.status()

    def committed(self) -> int:
        """Events that the group has committed."""
        return asyncio.run(self._committed())

    def on_topic(self) -> int:
        """Events that stand on the topic, whoever published them."""
        return asyncio.run(self._on_topic())

    async def _on_topic(self) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.brokers)
        await consumer.start()
        try:
            ends = await consumer.end_offsets([TopicPartition(self.topic, number) for number in range(self.partitions)])
            return sum(ends.values())
        finally:
            await consumer.stop()

    async def _committed(self) -> int:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.brokers, group_id=f"group-{self.topic}", enable_auto_commit=False
        )
        await consumer.start()
        try:
            places = [TopicPartition(self.topic, number) for number in range(self.partitions)]
            return sum([await consumer.committed(place) or 0 for place in places])
        finally:
            await consumer.stop()

    def dead_letters(self) -> list[Any]:
        """All records of the dead-letter topic."""
        return asyncio.run(self._read(catalogue(self.topic)[1].name))

    async def _read(self, topic: str) -> list[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.brokers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [
                TopicPartition(topic, number) for number in range(catalogue(self.topic, self.partitions)[1].partitions)
            ]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found: list[Any] = []
            while len(found) < sum(ends.values()):
                batches = await consumer.getmany(timeout_ms=500)
                found += [record for records in batches.values() for record in records]
            return found
        finally:
            await consumer.stop()


def reason(letter: Any) -> str:
    """Why a dead letter is one."""
    return dict(letter.headers)["matih.reason"].decode()  # type: ignore[no-any-return]
