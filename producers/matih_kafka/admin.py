"""The topics of the catalogue on a real cluster: make them, and say how they differ."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, for_code
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.protocol.metadata import MetadataRequest

from matih_kafka.errors import BrokerUnavailable
from matih_kafka.logs import AIOKAFKA, only_errors_of_ours

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from matih_kafka.settings import KafkaSettings
    from matih_schemas.topics import Topic

REQUEST_TIMEOUT_MS: Final = 10_000
MAY_NOT: Final = "this principal lacks an ACL: docs/guides/kafka-acls.md lists what each component needs"
_TOPIC_ALREADY_EXISTS: Final = 36
_NO_ERROR: Final = 0
_UNKNOWN_TOPIC: Final = 3


@dataclass(frozen=True)
class Difference:
    """One way in which the cluster is not as the catalogue says.

    Attributes:
        setting: `partitions`, `exists`, or a topic setting by Kafka's name.
    """

    topic: str
    setting: str
    wanted: str
    found: str

    def __str__(self) -> str:
        if self.setting == "exists":
            return f"{self.topic}: there is no such topic"
        return f"{self.topic}: {self.setting} is {self.found}, should be {self.wanted}"


async def create_topics(
    settings: KafkaSettings, topics: Sequence[Topic], replication: int | None = None
) -> dict[str, Literal["created", "exists"]]:
    """Makes the topics that are not there yet; those that are stay as they are.

    Args:
        settings: which cluster.
        topics: what to make.
        replication: copies of each partition; None means 3, or as many as there are brokers if those are fewer.

    Raises:
        BrokerUnavailable: no broker answered, or it refused; the message says why.
    """
    async with admin_client(settings) as admin:
        copies = replication or min(3, len((await admin.describe_cluster())["brokers"]))
        response = await admin.create_topics(
            [NewTopic(topic.name, topic.partitions, copies, topic_configs=topic.settings()) for topic in topics]
        )
        made = {name: _made(name, code, detail) for name, code, detail in response.topic_errors}
        await _wait_until_seen(admin, made)
    return made


async def check_topics(settings: KafkaSettings, topics: Sequence[Topic]) -> list[Difference]:
    """All differences between the catalogue's topics and the cluster's; none is an empty list.

    Raises:
        BrokerUnavailable: no broker answered, or it may not tell us.
    """
    async with admin_client(settings) as admin:
        partitions = await partition_counts(admin._client, [topic.name for topic in topics])
        there = [topic for topic in topics if partitions[topic.name]]
        configs = await _describe_configs(admin, [topic.name for topic in there])
    missing = [Difference(topic.name, "exists", "yes", "no") for topic in topics if topic not in there]
    return missing + [
        difference for topic in there for difference in compare(topic, partitions[topic.name], configs[topic.name])
    ]


async def check_reachable(settings: KafkaSettings, timeout_ms: int = 3000) -> None:
    """Asks a broker for its metadata.

    Raises:
        BrokerUnavailable: none answered within `timeout_ms`; the message says why.
    """
    async with admin_client(settings, timeout_ms):
        pass  # starting it has asked


def compare(topic: Topic, partitions: int, config: dict[str, str]) -> list[Difference]:
    """How a topic that exists differs from the catalogue."""
    found = {"partitions": str(partitions), **config}
    wanted = {"partitions": str(topic.partitions), **topic.settings()}
    return [
        Difference(topic.name, setting, value, found.get(setting, "not set"))
        for setting, value in wanted.items()
        if found.get(setting) != value
    ]


async def partition_counts(client: Any, topics: Iterable[str]) -> dict[str, int]:
    """The partitions of each topic by one aiokafka client, 0 for a topic that is not there; creates none by asking.

    Raises:
        BrokerUnavailable: the broker may not tell us.
    """
    # aiokafka's own look-ups let the broker make a missing topic, with its default number of partitions.
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
    response = await client.send(client.get_random_node(), request)
    counts = {}
    for code, name, _, partitions in response.topics:
        if code not in (_NO_ERROR, _UNKNOWN_TOPIC):
            raise BrokerUnavailable(f"topic {name}: {refusal(code)}")
        counts[name] = len(partitions) if code == _NO_ERROR else 0
    return counts


@asynccontextmanager
async def admin_client(
    settings: KafkaSettings, timeout_ms: int = REQUEST_TIMEOUT_MS
) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the time of the block; its errors are `BrokerUnavailable`."""
    only_errors_of_ours()
    admin = AIOKafkaAdminClient(request_timeout_ms=timeout_ms, **settings.client_options())
    try:
        await admin.start()
        yield admin
    except (AioKafkaError, asyncio.TimeoutError, OSError) as error:
        raise BrokerUnavailable(unreachable(settings, error)) from error
    finally:
        await admin.close()


def unreachable(settings: KafkaSettings, error: BaseException) -> str:
    """One line for people: which broker, what happened, where to look."""
    known = isinstance(error, (KafkaConnectionError, asyncio.TimeoutError))
    what = AIOKAFKA.line or "no broker answered" if known else str(error) or type(error).__name__
    return f"Kafka at {settings.bootstrap_servers}: {' '.join(what.split())}: {_remedy(settings, what.lower())}"


def _remedy(settings: KafkaSettings, what: str) -> str:
    """What to look at, by what aiokafka said."""
    if "authorization" in what:
        return MAY_NOT
    if "authentic" in what:
        return "are KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM right?"
    if "certificate verify failed" in what:
        return "does KAFKA_SSL_CAFILE hold the brokers' authority, and do their certificates name this address?"
    if settings.security_protocol == "SSL" and "errno 111" not in what:
        return "is it up, and do the brokers take the certificate in KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE?"
    return "is it up, and is KAFKA_BOOTSTRAP_SERVERS right?"


def refusal(code: int) -> str:
    """What a broker's error code means, and what to do if it is a right that is missing."""
    name: str = for_code(code).__name__
    return f"{name}: {MAY_NOT}" if "Authorization" in name else name


def _made(name: str, code: int, detail: str | None) -> Literal["created", "exists"]:
    if code == _NO_ERROR:
        return "created"
    if code == _TOPIC_ALREADY_EXISTS:
        return "exists"
    raise BrokerUnavailable(f"topic {name} can't be made: {refusal(code)}: {detail or ''}")


async def _wait_until_seen(admin: AIOKafkaAdminClient, names: Iterable[str]) -> None:
    """A broker that has just made a topic may still answer for a moment that there is none."""
    for _ in range(100):
        if all((await partition_counts(admin._client, names)).values()):
            return
        await asyncio.sleep(0.05)
    raise BrokerUnavailable(f"the topics {', '.join(names)} were made, but are not seen yet: try again")


async def _describe_configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    configs = {}
    for code, message, _, name, entries in (resource for response in responses for resource in response.resources):
        if code != _NO_ERROR:
            raise BrokerUnavailable(f"topic {name}: its settings can't be read: {message or ''} {refusal(code)}")
        configs[name] = {entry[0]: str(entry[1]) for entry in entries}
    return configs
