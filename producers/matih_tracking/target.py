"""Where this process's data goes, from the environment: read here without the libraries that speak to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from matih_kafka.gateway.address import gateway_url
from matih_schemas.identity import DEFAULT_TENANT
from matih_schemas.topics import EVENTS_TOPIC
from matih_tracking.spool import SpoolKey

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_BROKERS = "localhost:9092"


class Target(NamedTuple):
    """Kafka, or the API's event gateway in front of it.

    Attributes:
        brokers: host:port, comma separated, as matih_kafka's settings read them; empty with a gateway.
        topic: the events topic; empty with a gateway, which knows it.
        principal: the user to the brokers. With a gateway MATIH_TENANT: tenants have tokens of their own, and a shipper
            with one of them must not meet what was written for another. Nothing secret: it shows in the spool's path.
        gateway: the API's base URL; empty for Kafka itself.
    """

    brokers: str
    topic: str
    principal: str
    gateway: str = ""

    @property
    def spool_key(self) -> SpoolKey:
        """What the spool's entries are for."""
        return SpoolKey(self.gateway or self.brokers, self.topic, self.principal)

    def __str__(self) -> str:
        """As people are told of it."""
        return self.gateway or f"kafka {self.brokers}"


def target(environment: Mapping[str, str]) -> Target:
    """Where the environment says the data goes; a test holds this against matih_kafka's settings."""
    if (gateway := gateway_url(environment)) is not None:
        return Target("", "", environment.get("MATIH_TENANT", "").strip() or DEFAULT_TENANT, gateway)
    certificate = environment.get("KAFKA_SSL_CERTFILE", "")
    return Target(
        environment.get("KAFKA_BOOTSTRAP_SERVERS") or DEFAULT_BROKERS,
        environment.get("MATIH_EVENTS_TOPIC") or EVENTS_TOPIC,
        environment.get("KAFKA_SASL_USERNAME") or (str(Path(certificate)) if certificate else ""),
    )
