"""Events to records and back, framed as the topic is: a registry's ids stop here, at the edge."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from matih_kafka.errors import BrokerUnavailable
from matih_kafka.publisher import Record
from matih_kafka.registry.schema_ids import SchemaIds, subject_of
from matih_kafka.registry.settings import registry_settings, required_settings
from matih_schemas import codec
from matih_schemas.topics import Framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_kafka.settings import KafkaSettings
    from matih_schemas.codec import Headers, Reframe
    from matih_schemas.events import TrackingEvent


class EventFramer:
    """Makes records of events. `connect` comes first; in single-object encoding it has nothing to do."""

    def __init__(self, own_id: Callable[[], int] | None = None) -> None:
        """Asks nothing yet.

        Args:
            own_id: gives the id of this release's schema, for Confluent's framing; see `SchemaIds.own_id`.
        """
        self._own_id = own_id
        self._schema_id: int | None = None
        self._more: tuple[tuple[str, bytes], ...] = () if own_id is None else (codec.data_schema(),)

    async def connect(self) -> None:
        """Learns the schema's id; once it is known, returns at once.

        Raises:
            RegistryUnavailable: nobody knows the id now. Single-object encoding in its place would break those who read
                a topic with Confluent's framing, for ever; what waits is kept, and comes later.
            WrongTopic: the registry does not have this release's schema under the topic's subject.
        """
        if self._own_id is not None and self._schema_id is None:
            self._schema_id = await asyncio.to_thread(self._own_id)

    @property
    def is_ready(self) -> bool:
        """Whether records can be made."""
        return self._own_id is None or self._schema_id is not None

    def record(self, event: TrackingEvent, more: Headers = ()) -> Record:
        """The record of an event, with further headers.

        Raises:
            InvalidEvent: a field has a value that its schema has no place for.
            BrokerUnavailable: `connect` has not succeeded yet.
        """
        if not self.is_ready:
            raise BrokerUnavailable("the schema's id is not known yet")
        value = codec.encode(event, self._schema_id)
        return Record(codec.event_key(event), value, (*codec.headers(event), *self._more, *more))


SINGLE_OBJECT: Final = EventFramer()
"""For what goes to an event gateway, which takes this framing only, and frames anew."""


def framer(settings: KafkaSettings) -> EventFramer:
    """What frames events for the topic that the settings name.

    Raises:
        InvalidSettings: the framing is Confluent's, and no registry is named, or its settings can't be.
    """
    if settings.framing is not Framing.CONFLUENT:
        return SINGLE_OBJECT
    ids = SchemaIds.of(required_settings())
    return EventFramer(partial(ids.own_id, subject_of(settings.events_topic)))


def reframer(ids: SchemaIds | None) -> Reframe:
    """What reads both framings. It may block, and raises `RegistryUnavailable` if an id can't be asked for now."""
    known = None if ids is None else ids.fingerprint_of
    return lambda value, headers: codec.as_single_object(value, headers, known)


def environment_ids() -> SchemaIds | None:
    """The ids of the registry that the environment names, for readers; None if it names none.

    Raises:
        InvalidSettings: its settings can't be.
    """
    settings = registry_settings()
    return SchemaIds.of(settings) if settings.url else None
