"""A consumer group as the brokers see it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError

from matih_kafka.admin import admin_client
from matih_kafka.reading import topic_reader

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from matih_kafka.settings import KafkaSettings

_TRIES: Final = 20
_PAUSE: Final = 0.25


class Group(NamedTuple):
    """Who is in it, and how far it is.

    Attributes:
        members: consumers that are in the group now.
        lag: events of the topic behind what the group has committed; all that stand there if it never committed.
    """

    members: int
    lag: int


async def group(settings: KafkaSettings, name: str, topic: str) -> Group:
    """The group's members and its lag on the topic.

    Raises:
        BrokerUnavailable: no broker answers, or it may not tell us.
        WrongTopic: there is no such topic.
    """
    async with topic_reader(settings) as reader:
        bounds = await reader.bounds(topic)
    async with admin_client(settings) as admin:
        coordinator = await coordinator_of(admin, name)
        committed = await admin.list_consumer_group_offsets(name, coordinator)
        described = await admin.describe_consumer_groups([name], coordinator)
    lag = 0
    for partition, (first, end) in bounds.items():
        found = committed.get(TopicPartition(topic, partition))
        lag += end - max(first, found.offset if found is not None else first)
    members = sum(len(item[5]) for response in described for item in response.groups)
    return Group(members, lag)


async def coordinator_of(admin: AIOKafkaAdminClient, name: str) -> int:
    """The broker that coordinates the group. Kafka chooses one when it is first asked, which takes a moment."""
    for _ in range(_TRIES - 1):
        try:
            return int(await admin.find_coordinator(name))
        except GroupCoordinatorNotAvailableError:  # noqa: PERF203 - it is a wait
            await asyncio.sleep(_PAUSE)
    return int(await admin.find_coordinator(name))
