"""An issuer's public keys, read from its JWK set (RFC 7517). Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt

from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
EC_ALGORITHMS: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
ALGORITHMS: Final = frozenset((*RSA_ALGORITHMS, *EC_ALGORITHMS.values(), "EdDSA"))
"""What a JWT may be signed with: asymmetric only. With HS* among them, a public key could pass for a shared secret."""
RSA_BITS_MIN: Final = 2048
"""RFC 7518, 3.3."""

_PUBLIC = ("kty", "n", "e", "crv", "x", "y")


class NoKeys(MatihError):
    """A document that holds no key by which a JWT could be checked; the message says what it is instead."""


@dataclass(frozen=True)
class SigningKey:
    """A public key.

    Attributes:
        kid: its name in the set, if it has one.
        algorithms: those that it may be used with: the one it says, else those of its kind.
        public: as PyJWT takes it.
    """

    kid: str | None
    algorithms: frozenset[str]
    public: Any


def read_keys(document: bytes) -> tuple[SigningKey, ...]:
    """The keys of a JWK set that may sign JWTs; others (for encryption, symmetric, too short) are left out.

    Raises:
        NoKeys: it is no JWK set, or none of its keys can be used.
    """
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        raise NoKeys("its answer is not JSON") from None
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise NoKeys('its answer is no JWK set: {"keys": [...]}')
    keys = tuple(key for jwk in listed if isinstance(jwk, dict) and (key := _key(jwk)))
    if not keys:
        raise NoKeys(f"none of its {len(listed)} keys can check a signature of {', '.join(sorted(ALGORITHMS))}")
    return keys


def choose(keys: Iterable[SigningKey], kid: str | None, algorithm: str) -> SigningKey | None:
    """The key of that name for that algorithm; where the JWT names none, the only one that can be meant."""
    fitting = [key for key in keys if algorithm in key.algorithms and kid in (None, key.kid)]
    return fitting[0] if (kid is not None and fitting) or len(fitting) == 1 else None


def _key(jwk: Mapping[str, Any]) -> SigningKey | None:
    algorithms = _algorithms(jwk)
    kid = jwk.get("kid")
    if not algorithms or jwk.get("use", "sig") != "sig" or not isinstance(kid, str | None):
        return None
    public = {
        name: jwk[name] for name in _PUBLIC if name in jwk
    }  # a private key that was put there by mistake is not read
    try:
        key = jwt.PyJWK(public, min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if jwk["kty"] == "RSA" and key.key_size < RSA_BITS_MIN:
        return None
    return SigningKey(kid, algorithms, key)


def _algorithms(jwk: Mapping[str, Any]) -> frozenset[str]:
    kind, curve, said = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    if kind == "RSA":
        possible = frozenset(RSA_ALGORITHMS)
    elif kind == "EC" and curve in EC_ALGORITHMS:
        possible = frozenset((EC_ALGORITHMS[curve],))
    elif kind == "OKP" and curve == "Ed25519":
        possible = frozenset(("EdDSA",))
    else:
        return frozenset()
    return possible if said is None else possible & {said}
