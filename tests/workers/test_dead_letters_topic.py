"""On a real broker: dead letters whose topic is gone are told, and waited for; nothing behind them is lost."""

from __future__ import annotations

import asyncio
import urllib.request

from aiokafka.admin import AIOKafkaAdminClient
from tests.waiting import until
from tests.workers.pipe import Pipe, reason
from tests.workers.test_loop import compare, trained

from matih_kafka.admin import create_topics
from matih_kafka.publisher import Record
from matih_schemas.topics import catalogue


def problems(pipe: Pipe) -> str:
    return str((pipe.page("/readyz") or {}).get("problems"))


def metric(pipe: Pipe, name: str) -> float:
    url = next(word for word in pipe.log().split() if word.endswith("/status"))
    with urllib.request.urlopen(url.replace("/status", "/metrics"), timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def delete(pipe: Pipe, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipe.brokers)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()


def test_a_worker_says_at_the_start_that_the_topic_of_dead_letters_is_missing(pipe: Pipe) -> None:
    events, letters = catalogue(pipe.topic)
    asyncio.run(delete(pipe, letters.name))
    pipe.start()
    until(lambda: letters.name in problems(pipe), "the worker names the topic")
    asyncio.run(create_topics(pipe.settings, [events, letters]))
    until(lambda: problems(pipe) == "[]", "the worker is ready")


def test_dead_letters_whose_topic_is_gone_are_told_and_waited_for(pipe: Pipe) -> None:
    letters = catalogue(pipe.topic)[1]
    producers, wanted = trained(runs=1, events=2, points=10)
    pipe.start()
    until(lambda: problems(pipe) == "[]", "the worker is ready")
    assert metric(pipe, "matih_worker_kafka_up") == 1
    asyncio.run(delete(pipe, letters.name))
    pipe.publish_records([Record(b"acme/garbage", b"no event")])
    until(lambda: "dead letters is down" in problems(pipe), "the worker says what it waits for", seconds=90)
    assert (metric(pipe, "matih_worker_kafka_up"), metric(pipe, "matih_worker_ready")) == (0, 0)
    assert metric(pipe, "matih_worker_retries_total") > 0
    pipe.publish(wanted)
    asyncio.run(create_topics(pipe.settings, [letters]))
    assert pipe.settled(120)["dead_letters"] == {"malformed": 1}
    assert problems(pipe) == "[]"
    assert [reason(letter) for letter in pipe.dead_letters()] == ["malformed"]
    compare(pipe, producers)
