"""What carries a spool's events, by the environment: Kafka's own protocol, or HTTPS to the event gateway."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from matih_tracking.target import Target, target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from matih_kafka.framing import EventFramer
    from matih_kafka.publisher import Publisher


class Carrier(NamedTuple):
    """One way to the events topic.

    Attributes:
        target: where it goes.
        publisher: makes what carries records; to be called within an event loop.
        framer: makes records of events for it.
        check: returns if records could be carried now. Raises `BrokerUnavailable` or `InvalidSettings`.
    """

    target: Target
    publisher: Callable[[], Publisher]
    framer: EventFramer
    check: Callable[[], Awaitable[None]]


def carrier() -> Carrier:
    """What this process's environment names.

    Raises:
        InvalidSettings: a setting can't be; the message names the variable.
        InvalidName: the topic's name can't be one.
    """
    where = target(os.environ)
    return _gateway(where) if where.gateway else _kafka(where)


def _kafka(where: Target) -> Carrier:
    from matih_kafka.admin import check_reachable
    from matih_kafka.framing import framer
    from matih_kafka.idempotent import KafkaPublisher
    from matih_kafka.settings import kafka_settings
    from matih_schemas.topics import catalogue

    settings = kafka_settings()
    events = catalogue(settings.events_topic, settings.events_partitions)[0]
    return Carrier(
        where,
        lambda: KafkaPublisher(settings, events, client_id="matih-shipper"),
        framer(settings),
        lambda: check_reachable(settings),
    )


def _gateway(where: Target) -> Carrier:
    from matih_kafka.framing import SINGLE_OBJECT
    from matih_kafka.gateway.publisher import GatewayPublisher, check_gateway
    from matih_kafka.gateway.settings import gateway_settings

    settings = gateway_settings()
    return Carrier(where, lambda: GatewayPublisher(settings), SINGLE_OBJECT, lambda: check_gateway(settings))
