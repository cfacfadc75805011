"""Workers that join until each partition has one of its own, and leave again, under events that never stop."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until
from tests.workers.journals import START, Entry, Producer
from tests.workers.pipe import Pipe
from tests.workers.test_loop import compare

from matih_kafka.admin import create_topics
from matih_kafka.settings import KafkaSettings
from matih_schemas import codec
from matih_schemas.identity import partition_of
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from pathlib import Path

RUNS_PER_PARTITION = 2
POINTS = 10


@pytest.mark.soak
@pytest.mark.parametrize("partitions", [3, 12])
def test_as_many_workers_as_partitions_and_back(kafka: str, postgres_uri: str, tmp_path: Path, partitions: int) -> None:
    crew = Crew(kafka, postgres_uri, tmp_path, partitions)
    producers = on_every_partition(partitions)
    feed = Feed(crew.publisher, producers)
    feed.start()
    try:
        for _ in range(partitions):
            crew.join()
            crew.plateau()
        assert [len(owned) for owned in crew.owned()] == [1] * partitions
        crew.leave(signal.SIGKILL)
        crew.plateau()
        while len(crew.workers) > 1:
            crew.leave(signal.SIGTERM)
            crew.plateau()
        feed.finish()
        until(crew.is_done, "all events committed", 120, pause=0.2)
        assert crew.workers[0].end() == 0
    finally:
        feed.finish()
        crew.close()
    compare(crew.publisher, producers)
    assert crew.publisher.dead_letters() == []


def on_every_partition(partitions: int) -> list[Producer]:
    """Runs of one experiment, as many on each partition."""
    experiment, wanted = f"scale-{secrets.token_hex(6)}", dict.fromkeys(range(partitions), RUNS_PER_PARTITION)
    producers = []
    while any(wanted.values()):
        who = Producer(tenant="acme", experiment=experiment)
        number = partition_of(codec.event_key(who.created()), partitions)
        if wanted[number]:
            wanted[number] -= 1
            producers.append(who)
    return producers


@dataclass
class Crew:
    """Workers of one group on a topic of its own. `close` ends them."""

    brokers: str
    store_uri: str
    folder: Path
    partitions: int
    workers: list[Pipe] = field(default_factory=list)
    joined: int = 0

    def __post_init__(self) -> None:
        self.topic = f"scale.{secrets.token_hex(6)}.events.v1"
        settings = KafkaSettings(bootstrap_servers=self.brokers)
        asyncio.run(create_topics(settings, catalogue(self.topic, self.partitions)))
        self.publisher = self._pipe("publisher")

    def _pipe(self, name: str) -> Pipe:
        folder = self.folder / name
        folder.mkdir()
        pipe = Pipe(self.brokers, self.topic, self.store_uri, folder)
        pipe.partitions = self.partitions
        return pipe

    def join(self) -> None:
        """One more worker."""
        self.joined += 1
        worker = self._pipe(f"worker-{self.joined}")
        self.workers.append(worker)
        worker.start(MATIH_EVENTS_PARTITIONS=str(self.partitions))

    def leave(self, number: int) -> None:
        """The worker that is there longest gets the signal."""
        assert self.workers.pop(0).end(number) == (0 if number == signal.SIGTERM else -number)

    def owned(self) -> list[list[int]]:
        """The partitions of each worker, as its page says them."""
        return [worker.status().get("partitions", []) for worker in self.workers]

    def plateau(self) -> None:
        """Waits until each partition has exactly one worker, and each worker goes on with events."""
        until(self._is_shared, "all workers have joined, each partition has one of them", pause=0.2)
        before = [self._events(worker) for worker in self.workers]
        until(lambda: self._all_went_on(before), "each worker applies events", pause=0.2)
        assert self._is_shared()

    def _is_shared(self) -> bool:
        """A worker is ready once the group has told it its partitions, be they none."""
        ready = all((worker.page("/readyz") or {}).get("ready") for worker in self.workers)
        return ready and all(self.owned()) and sorted(itertools.chain(*self.owned())) == list(range(self.partitions))

    def _all_went_on(self, before: list[int]) -> bool:
        return all(self._events(worker) > earlier for worker, earlier in zip(self.workers, before, strict=True))

    @staticmethod
    def _events(worker: Pipe) -> int:
        return int(worker.status().get("events", 0))

    def is_done(self) -> bool:
        """Whether everything published is committed."""
        return self.publisher.committed() == self.publisher.published

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


class Feed(threading.Thread):
    """Publishes an event of each run, round after round, until `finish`; the runs' ends then."""

    def __init__(self, pipe: Pipe, producers: list[Producer]) -> None:
        super().__init__(daemon=True)
        self._pipe, self._producers = pipe, producers
        self._enough = threading.Event()

    def run(self) -> None:
        self._pipe.publish([who.created() for who in self._producers])
        for number in itertools.count():
            self._pipe.publish([who.log(*self._entries(number)) for who in self._producers])
            if self._enough.is_set():
                break
        self._pipe.publish([who.ended() for who in self._producers])

    @staticmethod
    def _entries(number: int) -> list[Entry]:
        steps = range(number * POINTS, (number + 1) * POINTS)
        return [Entry({"loss": random.random()}, {}, {"last": str(step)}, step, START + step) for step in steps]

    def finish(self) -> None:
        """Returns when everything is published."""
        self._enough.set()
        self.join()
