"""The credential in a request's `Authorization` header, and how log lines tell one from another."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final, Protocol

from matih_api.auth.principal import Principal  # noqa: TC001 - part of the contract
from matih_api.problems import unauthorized

CREDENTIAL_MAX: Final = 16 * 1024
"""Characters of a credential; a JWT with hundreds of groups has about 8 000."""

_FINGERPRINT_KEY: Final = secrets.token_bytes(32)


class Judge(Protocol):
    """Knows one kind of credential."""

    async def principal(self, credential: str) -> Principal:
        """Whose it is.

        Raises:
            matih_api.problems.Problem: as of `Authenticator.authenticate`.
        """


def bearer(authorization: str | None) -> str:
    """The credential of an `Authorization: Bearer ...` header (RFC 6750, 2.1).

    Raises:
        matih_api.problems.Problem: 401, there is none.
    """
    if not authorization or not authorization.strip():
        raise unauthorized("no credential: send the header `Authorization: Bearer TOKEN`")
    scheme, _, credential = authorization.strip().partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer":
        raise unauthorized("the credential's scheme is not accepted here: send `Authorization: Bearer TOKEN`")
    if not credential or " " in credential or not credential.isascii() or not credential.isprintable():
        raise unauthorized("the credential is not of the form `Authorization: Bearer TOKEN`")
    if len(credential) > CREDENTIAL_MAX:
        raise unauthorized(f"the credential is longer than {CREDENTIAL_MAX} characters: ask for one with fewer claims")
    return credential


def fingerprint(credential: str) -> str:
    """8 characters by which the log lines of one process tell credentials apart.

    Keyed with what only this process knows: nobody can try out guesses on it, not even of a password sent by mistake.
    """
    return hashlib.blake2b(credential.encode(), key=_FINGERPRINT_KEY, digest_size=4).hexdigest()
