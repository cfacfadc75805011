"""JWTs of an OIDC issuer as credentials (RFC 7519, with the advice of RFC 8725)."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jwt

from matih_api.auth.claims import ClaimNames, principal_of
from matih_api.auth.signing_keys import ALGORITHMS
from matih_api.problems import Problem, unauthorized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_api.auth.issuer_keys import IssuerKeys
    from matih_api.auth.principal import Principal
    from matih_api.auth.signing_keys import SigningKey

LEEWAY_SECONDS: Final = 30
"""How far the issuer's clock may be off."""

KNOWN_MAX: Final = 4096
"""JWTs that are remembered: checking a signature takes 300 us, knowing it again 10."""

_SAID: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.ExpiredSignatureError, "the JWT has expired: get a new one"),
    (jwt.ImmatureSignatureError, "the JWT is not valid yet: compare the clocks of its issuer and of this server"),
    (jwt.InvalidIssuerError, "the JWT is of another issuer than the one that is trusted here"),
    (jwt.InvalidAudienceError, "the JWT is for another audience: ask the issuer for one for this server"),
    (jwt.InvalidSignatureError, "the JWT's signature is wrong"),
)


class Known(NamedTuple):
    """A JWT that was found good: it is so until a moment (s since the epoch), by this very key."""

    principal: Principal
    kid: str | None
    algorithm: str
    key: SigningKey
    good_until: float


class JwtJudge:
    """Knows the JWTs of one issuer."""

    def __init__(self, keys: IssuerKeys, issuer: str, audiences: Sequence[str], names: ClaimNames) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audiences = tuple(audiences)
        self._names = names
        self._known: dict[bytes, Known] = {}

    async def principal(self, credential: str) -> Principal:
        """Whose it is; 401, 403 (it grants nothing) or 503 (the issuer's keys can't be had)."""
        digest = hashlib.sha256(credential.encode()).digest()
        known = self._known.get(digest)
        if known is None or not await self._still_good(known):
            known = await self._checked(credential)
            self._remember(digest, known)
        return known.principal

    async def _checked(self, credential: str) -> Known:
        kid, algorithm = _header(credential)
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise unauthorized("the JWT is signed with a key that its issuer does not publish: get a new one")
        claims = self._claims(credential, key)
        return Known(principal_of(claims, self._names), kid, algorithm, key, int(claims["exp"]) + LEEWAY_SECONDS)

    async def _still_good(self, known: Known) -> bool:
        """Keys that were asked for again are new ones: by them it is checked again."""
        return time.time() < known.good_until and await self._keys.find(known.kid, known.algorithm) is known.key

    def _remember(self, digest: bytes, known: Known) -> None:
        self._known.pop(digest, None)
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[digest] = known

    def _claims(self, credential: str, key: SigningKey) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                credential,
                key.public,
                algorithms=sorted(key.algorithms),
                audience=self._audiences,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"], "verify_iss": False},
            )
            # Not left to PyJWT: 2.10.0 took any part of the issuer's text for the issuer (CVE-2024-53861).
            if claims["iss"] != self._issuer:
                raise jwt.InvalidIssuerError
        except _WRONG as error:
            raise _refused(error) from None
        return claims


# What PyJWT lets through besides its own errors, tried with broken and hostile input: text that is no ASCII, deep JSON,
# an infinite `exp`, a key of another kind.
_WRONG: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


def _header(credential: str) -> tuple[str | None, str]:
    """Key and algorithm that it says it is signed with; only those on our list are looked at any further."""
    try:
        header = jwt.get_unverified_header(credential)
    except _WRONG:
        raise unauthorized("the credential is neither a token of this server nor a JWT") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise unauthorized(f"the JWT's algorithm is not accepted here, only {', '.join(sorted(ALGORITHMS))}")
    if not isinstance(kid, str | None) or "crit" in header or "b64" in header:
        raise unauthorized("the JWT's header asks for what is not known here (kid that is no text, crit or b64)")
    return kid, algorithm


def _refused(error: Exception) -> Problem:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return unauthorized(f"the JWT has no claim {error.claim!r}, which is needed")
    said = next((text for kind, text in _SAID if isinstance(error, kind)), "the JWT can't be read")
    return unauthorized(said)
