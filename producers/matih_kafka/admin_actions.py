"""Admin actions as events: acknowledged by Kafka before the deed, so that none is done unrecorded.

An event says what is about to be done. It stands there too if the deed then failed or was killed. It holds no secret.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from matih_kafka.admin import unreachable
from matih_kafka.errors import BrokerUnavailable
from matih_kafka.framing import framer
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.operator import Operator, operator
from matih_schemas.admin_details import KAFKA_USER, TENANTS, listed
from matih_schemas.clock import now_ms
from matih_schemas.errors import InvalidName
from matih_schemas.events import AdminAction, TrackingEvent
from matih_schemas.identity import DEPLOYMENT, check_tenant
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_kafka.settings import KafkaSettings

SECONDS: Final = 20.0
"""How long Kafka has to acknowledge, once it is connected."""
REQUEST_TIMEOUT: Final = 10.0


@dataclass(frozen=True)
class Deed:
    """What somebody is about to do.

    Attributes:
        action: its name, as `dlq.redrive`.
        target: to what, for people.
        reason: why, as who does it says.
        tenants: whose data it concerns; empty for all, or for what is nobody's.
        details: more of it, by name; lists as `matih_schemas.admin_details` has them.
    """

    action: str
    target: str
    reason: str
    tenants: frozenset[str] = frozenset()
    details: Mapping[str, str] = field(default_factory=dict)


def event_of(deed: Deed, who: Operator, event_id: str, now_ms: int) -> TrackingEvent:
    """The event that records the deed: the tenant's whom alone it concerns, else the deployment's. Pure."""
    details = dict(deed.details)
    if len(deed.tenants) > 1:
        details |= listed(TENANTS, deed.tenants)
    if who.kafka_user:
        details[KAFKA_USER] = who.kafka_user
    return TrackingEvent(
        event_id=event_id,
        tenant_id=_tenant(deed.tenants),
        occurred_at=now_ms,
        payload=AdminAction(deed.action, deed.reason, deed.target, details),
        claimed_user=who.user,
        host=who.host,
        sdk_version=who.release,
    )


async def record(settings: KafkaSettings, deed: Deed) -> TrackingEvent:
    """Publishes the deed's event; when this returns, all in-sync replicas have it.

    Raises:
        BrokerUnavailable: Kafka does not take it; the event may be there all the same. Or nobody knows the schema's id.
        InvalidName: the events topic's name can't be one.
        InvalidSettings: the topic's framing is Confluent's, and no registry is named.
        WrongTopic: the registry does not have this release's schema.
    """
    event = event_of(deed, operator(settings), str(uuid.uuid4()), now_ms())
    topic = catalogue(settings.events_topic, settings.events_partitions)[0]
    framing = framer(settings)
    publisher = KafkaPublisher(settings, topic, client_id="matih-admin", request_timeout=REQUEST_TIMEOUT)
    try:
        await framing.connect()
        await publisher.connect()
        await asyncio.wait_for(publisher.send(framing.record(event)), SECONDS)
    except asyncio.TimeoutError as error:
        raise BrokerUnavailable(unreachable(settings, error)) from error
    finally:
        await publisher.close()
    return event


def _tenant(tenants: frozenset[str]) -> str:
    if len(tenants) != 1:
        return DEPLOYMENT
    (tenant,) = tenants
    try:
        return check_tenant(tenant)
    except InvalidName:  # the key of a dead letter may hold anything
        return DEPLOYMENT
