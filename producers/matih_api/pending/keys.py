"""Idempotency keys: which requests were taken already, and what ids came of them. Pure, bounded."""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from typing import Final, NamedTuple

from matih_schemas.identity import NAMESPACE

HEADER: Final = "matih_idempotency"
"""The record's header: 16 bytes of the tenant and key, 16 of the request, hashed."""
KEY_MAX: Final = 255
_HALF: Final = 16


class RequestKey(NamedTuple):
    """A request that must happen once.

    Attributes:
        place: the tenant and the key, hashed.
        request: the method, path and body, hashed: another request under the same key is a mistake.
    """

    place: bytes
    request: bytes

    @classmethod
    def of(cls, tenant: str, key: str, request: bytes) -> RequestKey:
        """The key of a request."""
        return cls(_hash(tenant.encode(), key.encode()), _hash(request))

    @classmethod
    def parse(cls, header: bytes) -> RequestKey | None:
        """The key in a record's header; None if it is none."""
        return cls(header[:_HALF], header[_HALF:]) if len(header) == 2 * _HALF else None

    def header(self) -> tuple[str, bytes]:
        """The record's header."""
        return HEADER, self.place + self.request

    def id(self, kind: str) -> uuid.UUID:
        """An id that a repetition of the request comes to as well."""
        return uuid.uuid5(NAMESPACE, f"{kind}:{self.place.hex()}")


class SeenKeys:
    """The keys on the topic, the latest so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[bytes, bytes] = OrderedDict()

    def add(self, key: RequestKey) -> None:
        """A request with this key is on the topic."""
        self._seen.setdefault(key.place, key.request)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def request(self, key: RequestKey) -> bytes | None:
        """The request that was taken under this key, None if none was."""
        return self._seen.get(key.place)


def _hash(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_HALF)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
