"""The fixtures that other tests stand on."""

from __future__ import annotations

import asyncio
import urllib.request

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from matih_schemas.topics import PARTITIONS, dead_letter_name


def test_the_topic_and_its_dead_letters_take_records_and_give_them_back(kafka, events_topic):
    async def there_and_back(topic: str) -> tuple[bytes, int]:
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(topic, b"value", key=b"key")
            partitions = len(await producer.partitions_for(topic))
        async with AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
            return (await consumer.getone()).value, partitions

    for topic in (events_topic, dead_letter_name(events_topic)):
        assert asyncio.run(there_and_back(topic)) == (b"value", PARTITIONS)


def test_each_database_is_empty_and_its_own(postgres):
    with psycopg.connect(postgres.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_mlflow_answers(mlflow_url):
    with urllib.request.urlopen(f"{mlflow_url}/version", timeout=10) as answer:
        assert answer.status == 200
