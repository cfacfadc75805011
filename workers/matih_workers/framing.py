"""Both framings, as the ingest wants them: a registry's outage is one to be waited for, as the store's is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_kafka.errors import RegistryUnavailable
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from matih_schemas.codec import Headers, Reframe


def waited_for(reframe: Reframe) -> Reframe:
    """The same, with `StoreUnavailable` for an outage of the registry: nothing is acknowledged, and it comes again."""

    def found(value: bytes, headers: Headers) -> bytes:
        try:
            return reframe(value, headers)
        except RegistryUnavailable as error:
            raise StoreUnavailable(str(error), what="the schema registry") from error

    return found
