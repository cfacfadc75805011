"""A database put back to a backup, and a topic made anew: the worker says so, and the remedy it names mends it."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata
from tests.waiting import until
from tests.workers.journals import START, Entry, Producer
from tests.workers.pipe import Pipe
from tests.workers.views import SqlBench

from matih_kafka.admin import create_topics
from matih_kafka.topic_ids import topic_id
from matih_local import mlflow_schema
from matih_schemas.identity import partition_of
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pipe(kafka: str, events_topic: str, tmp_path: Path) -> Iterator[Pipe]:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    pipe = Pipe(kafka, events_topic, uri, tmp_path)
    yield pipe
    pipe.close()


def entries(*steps: int) -> list[Entry]:
    return [Entry({"loss": step / 10}, {f"p{step}": "v"}, {"last": str(step)}, step, START + step) for step in steps]


def worked(pipe: Pipe) -> list[str]:
    """Lets a worker take all that is published, and end; what it warned of."""
    pipe.start()
    pipe.settled()
    until(lambda: pipe.page("/status"), "the worker's report")
    warnings = pipe.status()["warnings"]
    assert pipe.end() == 0
    return warnings  # type: ignore[no-any-return]


def test_a_database_put_back_to_a_backup(pipe: Pipe, tmp_path: Path) -> None:
    who = Producer(tenant="acme", experiment=f"backup-{secrets.token_hex(6)}")
    pipe.publish([who.created(), who.log(*entries(0, 1))])
    assert worked(pipe) == []
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "backup.db")
    pipe.publish([who.log(*entries(2, 3)), who.log(*entries(4))])
    assert worked(pipe) == []
    shutil.copy(tmp_path / "backup.db", tmp_path / "mlflow.db")
    pipe.publish([who.log(*entries(5))])

    (warning,) = worked(pipe)
    partition = partition_of(f"acme/{who.run_id}".encode(), catalogue(pipe.topic)[0].partitions)
    assert f"{pipe.topic}/{partition}: " in warning
    assert "has not seen the events 2 to 3" in warning
    assert points(pipe, who) == {0, 1, 5}

    asyncio.run(set_back(pipe, partition, 2))
    assert worked(pipe) == []
    assert points(pipe, who) == {0, 1, 2, 3, 4, 5}
    seen = SqlBench(pipe.store_uri).view(who.run_id)
    assert seen is not None
    assert (seen.tags["last"], seen.params) == ("5", {f"p{step}": "v" for step in range(6)})


def points(pipe: Pipe, who: Producer) -> set[int]:
    seen = SqlBench(pipe.store_uri).view(who.run_id)
    assert seen is not None
    return {step for *_, step in seen.points}


async def set_back(pipe: Pipe, partition: int, offset: int) -> None:
    """What `kafka-consumer-groups.sh --reset-offsets --to-offset` does."""
    place = TopicPartition(pipe.topic, partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=pipe.brokers, group_id=f"group-{pipe.topic}", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([place])
    await consumer.commit({place: OffsetAndMetadata(offset, "")})
    await consumer.stop()


def test_a_topic_made_anew(pipe: Pipe) -> None:
    who = Producer(tenant="acme", experiment=f"anew-{secrets.token_hex(6)}")
    pipe.publish([who.created(), who.log(*entries(0, 1))])
    assert worked(pipe) == []
    old = asyncio.run(topic_id(pipe.settings, pipe.topic))
    asyncio.run(made_anew(pipe))
    new = asyncio.run(topic_id(pipe.settings, pipe.topic))
    assert (old.cluster_id, old.name) == (new.cluster_id, new.name)
    assert old.topic_id != new.topic_id
    pipe.published = 0
    pipe.publish([who.log(*entries(2))])
    (warning,) = worked(pipe)
    assert "made anew" in warning
    assert old.topic_id in warning
    assert points(pipe, who) == {0, 1, 2}


async def made_anew(pipe: Pipe) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipe.brokers)
    await admin.start()
    await admin.delete_topics([pipe.topic])
    await admin.close()
    for _ in range(100):
        try:
            if (await create_topics(pipe.settings, catalogue(pipe.topic)))[pipe.topic] == "created":
                return
        except Exception:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError("the topic was not made anew")
