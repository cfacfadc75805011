"""What the worker sees of Kafka: its coordinator, its partitions' leaders, and both topics at the start."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.structs import PartitionMetadata, TopicPartition

from matih_kafka.errors import WrongTopic
from matih_kafka.settings import KafkaSettings
from matih_workers import process
from matih_workers.process import WorkerProcess
from matih_workers.settings import WorkerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from matih_schemas.topics import Topic

EVENTS, LETTERS = "look.events.v1", "look.dlq.v1"
BOTH = (3, 5)


class FakeApp:
    """What Faust's application knows, with aiokafka's own metadata."""

    def __init__(self) -> None:
        self.cluster, self.coordinator = ClusterMetadata(), SimpleNamespace(coordinator_id=1)
        consumer = SimpleNamespace(_client=SimpleNamespace(cluster=self.cluster), _coordinator=self.coordinator)
        self._consumer = SimpleNamespace(_thread=SimpleNamespace(_consumer=consumer))
        self._assignment = {TopicPartition(EVENTS, number) for number in BOTH} | {TopicPartition("other", 1)}
        self.lead(dict.fromkeys(BOTH, 1))

    def lead(self, leaders: dict[int, int]) -> None:
        self.cluster._partitions = {
            EVENTS: {
                number: PartitionMetadata(EVENTS, number, leader, [1], [1], 0) for number, leader in leaders.items()
            }
        }


@pytest.fixture
def worker(tmp_path: Path) -> WorkerProcess:
    settings = WorkerSettings(worker_datadir=tmp_path, store_uri=f"sqlite:///{tmp_path}/x.db", worker_backoff=1e-6)
    return WorkerProcess(settings, KafkaSettings(MATIH_EVENTS_TOPIC=EVENTS))


def kafka_is(worker: WorkerProcess, app: Any) -> tuple[str, str]:
    worker._look_at_kafka(app)
    return worker.health.kafka.state, worker.health.kafka.message


def test_a_partition_without_a_leader_is_named_until_it_has_one(worker: WorkerProcess) -> None:
    app = FakeApp()
    assert kafka_is(worker, app) == ("up", "")
    app.lead({3: 1, 5: -1})
    assert kafka_is(worker, app) == (
        "down",
        f"no leader for partition 5 of {EVENTS}: are all brokers up, and may we read it?",
    )
    app.lead({3: -1, 5: -1, 7: -1})
    assert "partition 3, 5 of" in kafka_is(worker, app)[1]
    app.lead({})
    assert "partition 3, 5 of" in kafka_is(worker, app)[1]
    assert any("no leader" in problem for problem in worker.health.problems())
    app.lead({3: 1, 5: 2})
    assert kafka_is(worker, app) == ("up", "")


def test_a_coordinator_that_is_not_known_yet_is_no_outage_and_one_that_is_lost_is(worker: WorkerProcess) -> None:
    app = FakeApp()
    app.coordinator.coordinator_id = None  # type: ignore[assignment]
    assert kafka_is(worker, app)[0] == "starting"
    app.coordinator.coordinator_id = 1
    assert kafka_is(worker, app)[0] == "up"
    app.coordinator.coordinator_id = None  # type: ignore[assignment]
    assert "coordinator" in kafka_is(worker, app)[1]


def test_both_topics_have_to_be_there_at_the_start(worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    missing, told = {EVENTS, LETTERS}, []

    class FakePublisher:
        def __init__(self, _kafka: KafkaSettings, topic: Topic, **_: object) -> None:
            self.topic = topic.name

        async def connect(self) -> None:
            if self.topic in missing:
                missing.remove(self.topic)
                raise WrongTopic(f"topic {self.topic} is not there")

        async def close(self) -> None:
            told.append(worker.health.kafka.message)

    monkeypatch.setattr(process, "KafkaPublisher", FakePublisher)
    asyncio.run(worker._wait_for_topic())
    assert missing == set()
    assert f"topic {LETTERS} is not there" in worker.health.kafka.message
