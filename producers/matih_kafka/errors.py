"""What can go wrong with Kafka, by what the caller does about it."""

from __future__ import annotations

from matih_schemas.errors import MatihError


class KafkaError(MatihError):
    """The root of this package's errors."""


class InvalidSettings(KafkaError):
    """The connection settings contradict each other or name something that is not there: change the environment."""


class BrokerUnavailable(KafkaError):
    """Kafka did not take it, now: keep what was not acknowledged and try again."""


class WrongTopic(BrokerUnavailable):
    """The topic is missing or not as the catalogue has it: somebody has to mend it, then the next try succeeds."""


class RegistryUnavailable(BrokerUnavailable):
    """The schema registry did not answer, and what it was asked is not known here: keep the records and try again."""


class SchemaRefused(KafkaError):
    """The registry refuses the schema: it can't be read with those that are there, or those not with it."""


class RecordRejected(KafkaError):
    """Kafka refuses this very record, however often it is sent: it is too large for the topic, or invalid."""
