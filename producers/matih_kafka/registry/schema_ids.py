"""Which schema a registry's id means, and which id our own has: asked once, kept on disk."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from matih_kafka.errors import RegistryUnavailable, WrongTopic
from matih_kafka.registry.cache import SchemaCache, default_folder
from matih_kafka.registry.client import RegistryClient
from matih_schemas import schema
from matih_schemas.errors import NewerSchema

if TYPE_CHECKING:
    from matih_kafka.registry.settings import RegistrySettings

logger = logging.getLogger(__name__)

ID_MAX: Final = (1 << 31) - 1
"""Registries number with Java's int: a greater number comes of bytes that are no event."""
TRIES: Final = 3
"""So often an id may go unanswered by a registry that answers otherwise, before it counts as one that nobody knows."""
REFUSE_SECONDS: Final = 1.0
"""After an outage, or an id that is not there, the same is not asked again for so long."""


def subject_of(topic: str) -> str:
    """The subject of a topic's values: TopicNameStrategy."""
    return f"{topic}-value"


class SchemaIds:
    """The ids of one registry. Thread-safe; blocks for one answer of the registry at most, but for what is known."""

    def __init__(self, client: RegistryClient, cache: SchemaCache) -> None:
        """Asks nothing yet."""
        self._client = client
        self._cache = cache
        self._known: dict[int, bytes] = {}
        self._missing: dict[int, float] = {}
        self._unanswered: tuple[int, int] = (0, 0)
        self._outage: tuple[float, RegistryUnavailable] | None = None
        self._asking = threading.Lock()

    @classmethod
    def of(cls, settings: RegistrySettings) -> SchemaIds:
        """Those of the registry that the settings name."""
        folder = settings.cache_dir if settings.cache_dir is not None else default_folder()
        return cls(RegistryClient(settings), SchemaCache(folder, settings.url))

    def known_fingerprint(self, schema_id: int) -> bytes | None:
        """The fingerprint of an id's schema without asking anybody; None if it is not known here."""
        known = self._known.get(schema_id) or self._cache.fingerprint(schema_id)
        if known is not None:
            self._known[schema_id] = known
        return known

    def fingerprint_of(self, schema_id: int) -> bytes:
        """The fingerprint of an id's schema; see `codec.FingerprintOf`.

        Raises:
            NewerSchema: the registry has no such id, or it means no schema of events.
            RegistryUnavailable: it is not known here, and the registry does not answer: it may be known later.
        """
        if schema_id > ID_MAX:
            raise self._unknown(schema_id, "it can have none")
        with self._asking:
            known = self.known_fingerprint(schema_id)
            return known if known is not None else self._ask_fingerprint(schema_id)

    def own_id(self, subject: str) -> int:
        """The id that this release's schema has under a subject: the registry's answer, else what it was.

        Raises:
            WrongTopic: the registry does not have it there.
            RegistryUnavailable: the registry does not answer, and has never told it on this machine.
        """
        own = schema.rabin(schema.current())
        try:
            found = self._find(subject, own)
        except RegistryUnavailable as error:
            kept = self._cache.schema_id(subject, own)
            if kept is None:
                raise RegistryUnavailable(
                    f"the id of this release's schema is not known here yet, and {error}"
                ) from error
            logger.warning("schema id %d of %s is taken as it was: %s", kept, subject, error)
            return kept
        if found is None:
            raise WrongTopic(
                f"subject {subject} in the schema registry at {self._client.url} does not have this release's schema: "
                "`matih topics create` registers it"
            )
        return found

    def _find(self, subject: str, own: bytes) -> int | None:
        """The id of the subject's latest version that has this fingerprint; newer ones become known on the way."""
        for version in self._client.newest_first(subject):
            if self._learn(version.id, version.schema) == own:
                self._cache.keep_schema_id(subject, own, version.id)
                return version.id
        return None

    def _ask_fingerprint(self, schema_id: int) -> bytes:
        now = time.monotonic()
        if self._outage is not None and now - self._outage[0] < REFUSE_SECONDS:
            raise self._outage[1]
        if now - self._missing.get(schema_id, -REFUSE_SECONDS) < REFUSE_SECONDS:
            raise self._unknown(schema_id, "it has none")
        try:
            text = self._client.schema(schema_id)
        except RegistryUnavailable as error:
            self._outage = (time.monotonic(), error)
            if self._is_at_fault(schema_id):
                raise self._unknown(schema_id, f"it answers, but not for this one: {error}") from error
            raise
        if text is None:
            self._missing = {schema_id: time.monotonic()}
            raise self._unknown(schema_id, "it has none")
        fingerprint = self._learn(schema_id, text)
        if fingerprint is None:
            raise self._unknown(schema_id, "it is no schema of events")
        return fingerprint

    def _is_at_fault(self, schema_id: int) -> bool:
        """Whether it is this id that can't be had: nothing else may wait for it for ever."""
        last, tries = self._unanswered
        self._unanswered = (schema_id, tries + 1 if schema_id == last else 1)
        return self._unanswered[1] >= TRIES and self._client.works()

    def _learn(self, schema_id: int, text: str) -> bytes | None:
        fingerprint = schema.fingerprint_of(text)
        if fingerprint is not None:
            self._known[schema_id] = fingerprint
            self._cache.keep_fingerprint(schema_id, fingerprint)
        return fingerprint

    def _unknown(self, schema_id: int, why: str) -> NewerSchema:
        return NewerSchema(f"schema id {schema_id} of the registry at {self._client.url} (SCHEMA_REGISTRY_URL): {why}")
