"""What is followed, in one framing: a registry's ids are resolved before anybody keeps a record, and nobody waits."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from matih_kafka.errors import RegistryUnavailable
from matih_schemas import codec
from matih_schemas.errors import NewerSchema

if TYPE_CHECKING:
    from matih_kafka.following import Follower
    from matih_kafka.registry.schema_ids import SchemaIds


class ReframedFollower:
    """Tells a follower of the same records with their values in single-object encoding.

    A record whose schema is not known here yet comes without its value: what it says is seen once it is in MLflow, and
    the registry is asked meanwhile.
    """

    def __init__(self, follower: Follower, ids: SchemaIds | None) -> None:
        self._follower = follower
        self._ids = ids
        self._asking: set[int] = set()

    def take(self, partition: int, records: list[Any]) -> None:
        """See `Follower`."""
        self._follower.take(partition, [self._reframed(record) for record in records])

    def committed(self, partition: int, end: int) -> None:
        """See `Follower`."""
        self._follower.committed(partition, end)

    def made_anew(self) -> None:
        """See `Follower`."""
        self._follower.made_anew()

    def _reframed(self, record: Any) -> Any:
        if (record.value or b"")[:1] != codec.CONFLUENT:
            return record
        try:
            value = codec.as_single_object(record.value, record.headers, self._known)
        except NewerSchema:
            return replace(record, value=None)
        return replace(record, value=value)

    def _known(self, schema_id: int) -> bytes:
        known = None if self._ids is None else self._ids.known_fingerprint(schema_id)
        if known is None:
            self._ask(schema_id)
            raise NewerSchema(f"schema id {schema_id} is not known here yet")
        return known

    def _ask(self, schema_id: int) -> None:
        """Has a thread learn it, one for an id at a time."""
        if self._ids is not None and schema_id not in self._asking:
            self._asking.add(schema_id)
            threading.Thread(target=self._learn, args=[self._ids, schema_id], name="matih-schema", daemon=True).start()

    def _learn(self, ids: SchemaIds, schema_id: int) -> None:
        with suppress(NewerSchema, RegistryUnavailable):
            ids.fingerprint_of(schema_id)
        self._asking.discard(schema_id)
