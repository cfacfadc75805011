"""The topics as data: what `matih topics create` applies and `check` compares."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from matih_schemas.errors import InvalidName

if TYPE_CHECKING:
    from collections.abc import Iterable

EVENTS_TOPIC: Final = "matih.tracking.events.v1"
PARTITIONS: Final = 12
"""Part of the contract: a run's partition is murmur2(key) mod this, so a topic with another count is refused."""

_DAY_MS: Final = 24 * 60 * 60 * 1000


class Framing(Enum):
    """How a value names its schema: a property of the topic."""

    SINGLE_OBJECT = "single-object"
    """Avro single-object encoding: C3 01, then the schema's CRC-64-AVRO fingerprint, little endian."""
    CONFLUENT = "confluent"
    """Confluent's wire format: 00, then the registry's schema id, 4 bytes, big endian."""


@dataclass(frozen=True)
class Topic:
    """One topic of the catalogue.

    Attributes:
        retention_ms: how long a record is kept, in ms; -1 for ever.
        compression: the broker's `compression.type`; `producer` keeps what the producer chose.
        dead_letters: the name of its dead-letter topic, or None.
        config: further topic settings, by Kafka's names.
    """

    name: str
    owner: str
    partitions: int = PARTITIONS
    retention_ms: int = 30 * _DAY_MS
    compression: str = "producer"
    framing: Framing = Framing.SINGLE_OBJECT
    dead_letters: str | None = None
    config: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        """All settings of the topic by Kafka's names, as `create` sends them and `check` expects them."""
        return {
            "retention.ms": str(self.retention_ms),
            "compression.type": self.compression,
            "cleanup.policy": "delete",
            **self.config,
        }


def dead_letter_name(events_topic: str) -> str:
    """The dead-letter twin of an events topic: `x.events.v1` -> `x.dlq.v1`; any other name gets `.dlq` behind it."""
    head, events, version = events_topic.rpartition(".events.")
    return f"{head}.dlq.{version}" if events else f"{events_topic}.dlq"


def dead_letter_names(names: Iterable[str]) -> frozenset[str]:
    """Those among the names of topics that are the dead-letter twin of another one among them."""
    known = frozenset(names)
    return known & {dead_letter_name(name) for name in known}


def catalogue(
    events_topic: str = EVENTS_TOPIC, partitions: int = PARTITIONS, framing: Framing = Framing.SINGLE_OBJECT
) -> tuple[Topic, ...]:
    """The topics of one deployment: the events and their dead letters.

    Args:
        events_topic: its name.
        partitions: how many it has; another number needs another name, for a run's partition hangs on it.
        framing: of the events. A dead letter keeps the value that it came with, in whatever framing.

    Raises:
        InvalidName: Kafka would refuse the name.
    """
    if (
        not events_topic
        or len(events_topic) > 245
        or not events_topic.replace(".", "").replace("_", "").replace("-", "").isalnum()
    ):
        raise InvalidName(f"topic {events_topic!r}: use at most 245 letters, digits, '.', '_' or '-'")
    dead_letters = dead_letter_name(events_topic)
    # LogAppendTime on the events: occurred, received and applied are three times. CreateTime on the dead letters:
    # a record keeps the time at which it was first received.
    return (
        Topic(
            events_topic,
            "tracking",
            partitions,
            framing=framing,
            dead_letters=dead_letters,
            config={"message.timestamp.type": "LogAppendTime"},
        ),
        Topic(
            dead_letters,
            "tracking",
            partitions,
            retention_ms=90 * _DAY_MS,
            config={"message.timestamp.type": "CreateTime"},
        ),
    )
