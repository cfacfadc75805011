"""Where this process's data goes, from the environment: read here without the libraries that speak to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from matih_schemas.topics import EVENTS_TOPIC
from matih_tracking.spool import SpoolKey

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_BROKERS = "localhost:9092"


class Target(NamedTuple):
    """The brokers (host:port, comma separated), the topic and the user to them, as matih_kafka's settings read them."""

    brokers: str
    topic: str
    principal: str

    @property
    def spool_key(self) -> SpoolKey:
        """What the spool's entries are for."""
        return SpoolKey(self.brokers, self.topic, self.principal)


def target(environment: Mapping[str, str]) -> Target:
    """Where the environment says the data goes; a test holds this against matih_kafka's settings."""
    certificate = environment.get("KAFKA_SSL_CERTFILE", "")
    return Target(
        environment.get("KAFKA_BOOTSTRAP_SERVERS") or DEFAULT_BROKERS,
        environment.get("MATIH_EVENTS_TOPIC") or EVENTS_TOPIC,
        environment.get("KAFKA_SASL_USERNAME") or (str(Path(certificate)) if certificate else ""),
    )
