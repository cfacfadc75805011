"""How somebody gets in: by what is configured."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from matih_api.auth.addresses import is_loopback
from matih_api.auth.bearer import Judge, bearer, fingerprint
from matih_api.auth.claims import ClaimNames
from matih_api.auth.issuer_keys import IssuerKeys
from matih_api.auth.jwt import JwtJudge
from matih_api.auth.principal import ANYBODY, Authenticator, Principal
from matih_api.auth.token_file import TokensFileUnusable
from matih_api.auth.token_records import is_token
from matih_api.auth.tokens import TokenJudge
from matih_api.problems import Problem, unauthorized
from matih_kafka.errors import InvalidSettings

if TYPE_CHECKING:
    from matih_api.auth.settings import AuthSettings

_log = logging.getLogger(__name__)


class OpenDoor:
    """Nobody has to log in."""

    async def authenticate(self, authorization: str | None) -> Principal:  # noqa: ARG002 - the contract's
        """Everybody is `ANYBODY`, whatever credential is sent."""
        return ANYBODY


class BearerAuthenticator:
    """Gives each credential to the one who knows its kind."""

    def __init__(self, tokens: Judge | None, jwts: Judge | None) -> None:
        self._tokens = tokens
        self._jwts = jwts

    async def authenticate(self, authorization: str | None) -> Principal:
        """As the contract `Authenticator` says."""
        credential = bearer(authorization)
        judge = self._tokens if is_token(credential) else self._jwts
        if judge is None:
            raise unauthorized("credentials of this kind are not accepted here: ask whoever runs this server for one")
        try:
            return await judge.principal(credential)
        except Problem as problem:
            _log.info("anonymous (credential %s) is refused: %s", fingerprint(credential), problem.detail)
            raise


def is_open(settings: AuthSettings) -> bool:
    """Whether nobody has to log in: neither tokens nor JWTs are configured. A tokens' file without tokens counts."""
    return not settings.api_jwks_url and not _has_tokens(settings)


def make_authenticator(settings: AuthSettings) -> Authenticator:
    """The authenticator that the settings ask for. It reads the tokens' file, and asks no issuer yet.

    Raises:
        InvalidSettings: the tokens' file is missing, unreadable or unsafe; the message says what to do.
    """
    if is_open(settings):
        return OpenDoor()
    return BearerAuthenticator(_tokens(settings), _jwts(settings))


def open_mode_refusal(host: str, allowed: Literal["loopback", "anywhere"]) -> str | None:
    """Why a server that asks nobody who they are may not listen on this host; None if it may.

    Args:
        host: the address to listen on.
        allowed: MATIH_API_OPEN.
    """
    if allowed == "anywhere" or is_loopback(host):
        return None
    return (
        f"no credentials are configured, so everybody who reaches {host or 'any address of this host'} could read and "
        "write everything: make tokens (`matih tenants create`, `matih tenants token`) or set MATIH_API_JWKS_URL; "
        "or listen on 127.0.0.1; or, where the network lets nobody else through, set MATIH_API_OPEN=anywhere"
    )


def _has_tokens(settings: AuthSettings) -> bool:
    if settings.api_tokens_file is not None:
        return True
    try:
        settings.tokens_path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it may be there: reading it says what is wrong, where "open" would let everybody in
    return True


def _tokens(settings: AuthSettings) -> TokenJudge | None:
    if not _has_tokens(settings):
        return None
    try:
        return TokenJudge(settings.tokens_path)
    except TokensFileUnusable as error:
        raise InvalidSettings(str(error)) from None


def _jwts(settings: AuthSettings) -> JwtJudge | None:
    if not settings.api_jwks_url or not settings.api_jwt_issuer:
        return None
    names = ClaimNames(settings.api_jwt_tenant_claim, settings.api_jwt_role_claim, settings.api_jwt_actor_claim)
    return JwtJudge(IssuerKeys(settings.api_jwks_url), settings.api_jwt_issuer, settings.audiences, names)
