"""A spool on a real broker, the processes around it, and what arrived on the topic."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from tests.shipper.unpacking import said, unpack
from tests.waiting import until

from matih_schemas import codec
from matih_schemas.events import RunEnded, TrackingEvent
from matih_schemas.topics import PARTITIONS
from matih_tracking.journal import listing
from matih_tracking.shipper import state
from matih_tracking.spool import SpoolKey, SpoolSettings, open_spool, spool_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shipper.writing import Trainer


class World:
    """One test's spool, topic and processes."""

    def __init__(self, brokers: str, topic: str, folder: Path) -> None:
        self.brokers, self.topic, self.folder = brokers, topic, folder
        self.base = folder / "spools"
        self.spool = open_spool(spool_path(SpoolKey(brokers, topic), SpoolSettings(base=self.base)))
        self.processes: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.brokers,
            "MATIH_EVENTS_TOPIC": self.topic,
            "MATIH_SPOOL_DIR": str(self.base),
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """A Python process."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        self.processes.append(process)
        return process

    def start_shipper(self, *options: str) -> subprocess.Popen[str]:
        """A shipper that holds the spool by now."""
        process = self.start("-m", "matih_tracking.shipper", *options)
        until(lambda: (told := state.read(self.spool)) and told.pid == process.pid, "the shipper holds the spool")
        return process

    def matih(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command line, to its end."""
        process = self.start("-m", "matih_console.main", *arguments, **variables)
        out, err = process.communicate(timeout=90)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def is_empty(self) -> bool:
        """Whether all journals are delivered and removed."""
        return not listing.journals(self.spool)

    def acked(self, trainer: Trainer) -> int:
        return trainer.journal.acked()

    def events(self) -> list[TrackingEvent]:
        """All events on the topic, in order within each partition."""
        return asyncio.run(read_all(self.brokers, self.topic))

    def close(self) -> None:
        """Ends all processes, also a shipper that a command has left."""
        for process in self.processes:
            process.kill()
            process.communicate()
        told = state.read(self.spool)
        if told is not None and state.is_running(self.spool):
            os.kill(told.pid, 9)


async def read_all(brokers: str, topic: str) -> list[TrackingEvent]:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        total = sum((await consumer.end_offsets(partitions)).values())
        records: list[Any] = []
        while len(records) < total:
            for more in (await consumer.getmany(timeout_ms=1000)).values():
                records += more
        for record in records:
            assert record.key == codec.event_key(codec.decode(record.value))
        return [codec.decode(record.value) for record in records]
    finally:
        await consumer.stop()


def by_producer(events: list[TrackingEvent]) -> dict[str, list[tuple[int, Any]]]:
    """What the events say, per producer, as (number, what), each number's first copy, in the order of arrival."""
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    for event in events:
        for producer, number, what in unpack(event):
            assert found[producer].setdefault(number, what) == what, "two copies of an entry differ"
    return {producer: list(numbered.items()) for producer, numbered in found.items()}


def written_by(*trainers: Trainer) -> dict[str, list[tuple[int, Any]]]:
    """What the trainers said, in the same form."""
    return {trainer.producer_id: [(n, said(entry)) for n, entry in enumerate(trainer.said)] for trainer in trainers}


def ends(events: list[TrackingEvent]) -> dict[str, list[RunEnded]]:
    """The ends per producer, copies left out."""
    found: dict[str, dict[str, RunEnded]] = defaultdict(dict)
    for event in events:
        if isinstance(event.payload, RunEnded):
            found[event.payload.producer_id][event.event_id] = event.payload
    return {producer: list(its.values()) for producer, its in found.items()}
