"""The topics' subjects in a registry: make them as the catalogue has them, and say how they differ. Blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from matih_kafka.admin import Difference
from matih_kafka.registry.schema_ids import subject_of
from matih_schemas import schema
from matih_schemas.topics import Framing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_kafka.registry.client import RegistryClient
    from matih_schemas.topics import Topic

COMPATIBILITY: Final = "BACKWARD_TRANSITIVE"
"""A new schema reads what was written with any before it."""


def register(client: RegistryClient, topics: Sequence[Topic]) -> dict[str, Literal["registered", "exists"]]:
    """Registers this release's schema for the topics that have Confluent's framing, with the compatibility.

    Raises:
        RegistryUnavailable: it does not answer.
        SchemaRefused: the schema is not compatible with those that are there.
    """
    return {subject: _register(client, subject) for subject in _subjects(topics)}


def check(client: RegistryClient, topics: Sequence[Topic]) -> list[Difference]:
    """How the registry differs from the catalogue; none is an empty list.

    Raises:
        RegistryUnavailable: it does not answer.
    """
    return [difference for subject in _subjects(topics) for difference in _check(client, subject)]


def _subjects(topics: Sequence[Topic]) -> list[str]:
    return [subject_of(topic.name) for topic in topics if topic.framing is Framing.CONFLUENT]


def _register(client: RegistryClient, subject: str) -> Literal["registered", "exists"]:
    there = bool(client.versions(subject))
    if there and _has_own(client, subject):
        client.set_compatibility(subject, COMPATIBILITY)
        return "exists"
    if there:
        client.set_compatibility(subject, COMPATIBILITY)  # before: the new version is held to it
    client.register(subject, schema.text())
    client.set_compatibility(subject, COMPATIBILITY)
    return "registered"


def _check(client: RegistryClient, subject: str) -> list[Difference]:
    if not client.versions(subject):
        return [Difference(subject, "schema", "registered", "not there")]
    found = []
    if not _has_own(client, subject):
        found.append(Difference(subject, "schema", "this release's", "older ones only"))
    level = client.compatibility(subject)
    if level != COMPATIBILITY:
        found.append(Difference(subject, "compatibility", COMPATIBILITY, level or "the registry's own"))
    return found


def _has_own(client: RegistryClient, subject: str) -> bool:
    own = schema.rabin(schema.current())
    return any(schema.fingerprint_of(version.schema) == own for version in client.newest_first(subject))
