"""A topic's own id, which tells it from another one of the same name: aiokafka does not ask for it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from matih_kafka.admin import admin_client, refusal
from matih_kafka.errors import BrokerUnavailable, WrongTopic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_kafka.settings import KafkaSettings

_NO_ID: Final = uuid.UUID(int=0)


@dataclass(frozen=True)
class TopicId:
    """Which topic it is, of all that ever had its name.

    Attributes:
        cluster_id: the cluster's.
        topic_id: the one that Kafka gave the topic when it was made (KIP-516).
    """

    cluster_id: str
    topic_id: str
    name: str


class _Uuid(AbstractType[uuid.UUID]):  # type: ignore[misc]  # aiokafka is untyped here
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: Any) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka is untyped here
    """Metadata, version 12: https://kafka.apache.org/protocol.html#The_Messages_Metadata."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest12(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped here
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequest12]):  # type: ignore[misc]  # aiokafka is untyped here
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequest12]) -> _MetadataRequest12:
        return request_struct_class([(_NO_ID, topic, {}) for topic in self._topics], False, False, {})


async def topic_id(settings: KafkaSettings, topic: str) -> TopicId:
    """The ids of a topic and its cluster; see `topic_ids`."""
    return (await topic_ids(settings, [topic]))[0]


async def topic_ids(settings: KafkaSettings, topics: Sequence[str]) -> list[TopicId]:
    """The ids of topics and their cluster. Kafka has topic ids since 2.8, and tells them in this way since 3.1.

    Raises:
        WrongTopic: one of them is not there.
        BrokerUnavailable: no broker answers, it refuses, or is older.
    """
    async with admin_client(settings) as admin:
        client = admin._client
        try:
            answer = await client.send(client.get_random_node(), _MetadataRequest(topics))
        except NotImplementedError as error:
            told = f"topic {', '.join(topics)}: the broker is too old to tell its id (Kafka 3.1 does)"
            raise BrokerUnavailable(told) from error
    found = {name: (code, identifier) for code, name, identifier, *_ in answer.topics}
    return [TopicId(answer.cluster_id, _checked(topic, *found[topic]), topic) for topic in topics]


def _checked(topic: str, code: int, found: uuid.UUID) -> str:
    if code == UnknownTopicOrPartitionError.errno:
        raise WrongTopic(f"topic {topic}: there is no such topic; `matih topics create` makes it")
    if code:
        raise BrokerUnavailable(f"topic {topic}: {refusal(code)}")
    return str(found)
