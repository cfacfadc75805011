"""What `matih doctor` asks of Kafka."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matih_console.checks import Finding
from matih_kafka.admin import check_reachable, check_topics
from matih_kafka.errors import BrokerUnavailable, InvalidSettings, RegistryUnavailable
from matih_kafka.gateway.address import gateway_url
from matih_kafka.gateway.publisher import check_gateway
from matih_kafka.gateway.settings import GatewaySettings, gateway_settings
from matih_kafka.registry.client import RegistryClient
from matih_kafka.registry.schema_ids import subject_of
from matih_kafka.registry.settings import required_settings
from matih_kafka.registry.subjects import check
from matih_kafka.settings import kafka_settings
from matih_schemas.errors import InvalidName
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_console.checks import Check


def checks() -> Mapping[str, Check]:
    """Settings, brokers, topics; or the event gateway, where that is what events go to."""
    if gateway_url(os.environ) is not None:
        return {"event gateway": _gateway}
    found = {"Kafka settings": _settings, "Kafka": _reachable, "topics": _topics}
    registry = os.environ.get("SCHEMA_REGISTRY_URL") or os.environ.get("MATIH_EVENTS_FRAMING") == "confluent"
    return {**found, "schema registry": _registry} if registry else found


def _gateway() -> Finding:
    try:
        settings = gateway_settings()
        asyncio.run(check_gateway(settings))
    except InvalidSettings as error:
        return Finding("failed", str(error), "change that variable: docs/settings.md lists all of them")
    except BrokerUnavailable as error:
        return Finding("failed", str(error), "training goes on meanwhile: the journals keep what it logs")
    where = f"{settings.url} takes events"
    if _sends_token_in_the_open(settings):
        return Finding("warning", where, "the token goes unencrypted: use https")
    return Finding("ok", where)


def _sends_token_in_the_open(settings: GatewaySettings) -> bool:
    parts = urlsplit(settings.url)
    return (
        parts.scheme == "http"
        and parts.hostname not in {"localhost", "127.0.0.1", "::1"}
        and bool(settings.current_token())
    )


def _settings() -> Finding:
    try:
        settings = kafka_settings()
        settings.client_options()
        catalogue(settings.events_topic, settings.events_partitions)
    except (InvalidSettings, InvalidName) as error:
        return Finding("failed", str(error), "change that variable: docs/settings.md lists all of them")
    who = f" as {settings.sasl_username}" if settings.sasl_username else ""
    where = f"{settings.bootstrap_servers}, {settings.security_protocol}{who}, topic {settings.events_topic}"
    if settings.security_protocol == "SASL_PLAINTEXT":
        return Finding("warning", where, "the password goes unencrypted: use SASL_SSL")
    return Finding("ok", where)


def _registry() -> Finding:
    """Whether it answers; and, if the topic's framing needs it, whether it has what the catalogue wants."""
    settings = kafka_settings()
    wanted = catalogue(settings.events_topic, settings.events_partitions, settings.framing)
    try:
        client = RegistryClient(required_settings())
        differences = check(client, wanted)
        client.versions(subject_of(settings.events_topic))
    except InvalidSettings as error:
        return Finding("failed", str(error), "change that variable: docs/settings.md lists all of them")
    except RegistryUnavailable as error:
        return Finding("warning", str(error), "what was learnt before is kept, and goes on; new ids have to wait")
    if differences:
        return Finding("failed", "; ".join(map(str, differences)), "`matih topics create` registers the schema")
    return Finding("ok", f"{client.url} answers")


def _reachable() -> Finding:
    settings = kafka_settings()
    try:
        asyncio.run(check_reachable(settings))
    except BrokerUnavailable as error:
        return Finding("failed", str(error), "training goes on meanwhile: the journals keep what it logs")
    return Finding("ok", f"{settings.bootstrap_servers} answers")


def _topics() -> Finding:
    settings = kafka_settings()
    wanted = catalogue(settings.events_topic, settings.events_partitions)
    try:
        differences = asyncio.run(check_topics(settings, wanted))
    except BrokerUnavailable as error:
        return Finding("skipped", str(error))
    if not differences:
        return Finding("ok", " and ".join(topic.name for topic in wanted))
    fatal = any(difference.setting in {"exists", "partitions"} for difference in differences)
    found = "; ".join(map(str, differences))
    return Finding("failed" if fatal else "warning", found, "`matih topics check` says what to do")
