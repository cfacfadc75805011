"""Static tokens: how they are made, what is kept of them, and whose one is. Pure but for the randomness."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from matih_api.auth.roles import check_actor, role_named, word_of
from matih_schemas.errors import MatihError
from matih_schemas.identity import check_tenant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_api.auth.principal import Role

VERSION: Final = 1
PREFIX: Final = "matih_"
SECRET_BYTES: Final = 32

_TOKEN = re.compile(r"matih_([0-9a-f]{16})_([A-Za-z0-9_-]{43,86})", re.ASCII)
_NO_HASH: Final = "0" * 64


class UnreadableTokens(MatihError):
    """What should be a tokens' file is none, or of a newer release; the message says which. It is left as it is."""


def _check_role(word: str) -> str:
    if role_named(word) is None:
        raise ValueError("is no role")
    return word


def _as_text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, PlainSerializer(_as_text)]
Tenant = Annotated[str, AfterValidator(check_tenant)]
Actor = Annotated[str, AfterValidator(check_actor)]
RoleWord = Annotated[str, AfterValidator(_check_role)]
TokenId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Record(BaseModel):
    """Part of the file. What is not known in it is refused: it may be what keeps somebody out."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenRecord(Record):
    """What is kept of a token.

    Attributes:
        name: the actor that stands in events and logs.
        sha256: the hash of its secret, hex.
        grants: the role's word by tenant.
        expires_at: from then on it is refused; None: never.
    """

    name: Actor
    # A slow hash guards what can be guessed. These are 256 random bits: nobody tries them out, and a request pays 1 us.
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    grants: Annotated[dict[Tenant, RoleWord], Field(min_length=1)]
    created_at: Moment
    expires_at: Moment | None = None

    def expired(self, now: datetime) -> bool:
        """Whether it is refused by its age."""
        return self.expires_at is not None and now >= self.expires_at

    def roles(self) -> dict[str, Role]:
        """The role by tenant."""
        return {tenant: role for tenant, word in self.grants.items() if (role := role_named(word))}


class TenantRecord(Record):
    """A tenant that tokens may be made for."""

    created_at: Moment


class TokensFile(Record):
    """All that the file holds.

    Attributes:
        version: of this form; a greater one is a newer release's.
        tokens: by their id, the part of a token that is no secret.
    """

    version: Literal[1] = VERSION
    tenants: dict[Tenant, TenantRecord] = Field(default_factory=dict)
    tokens: dict[TokenId, TokenRecord] = Field(default_factory=dict)


def read_tokens(content: bytes) -> TokensFile:
    """The file's content.

    Raises:
        UnreadableTokens: it is none; the message says where it is wrong, and no value.
    """
    try:
        return TokensFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its JSON"
        newer = "; a newer release wrote it: upgrade this one" if first["loc"] == ("version",) else ""
        raise UnreadableTokens(f"{where}: {first['msg']}{newer}") from None


def written(tokens: TokensFile) -> bytes:
    """The content for the file."""
    return tokens.model_dump_json(indent=1).encode() + b"\n"


def mint(
    name: str | None, grants: Mapping[str, Role], now: datetime, expires_at: datetime | None
) -> tuple[str, str, TokenRecord]:
    """A new token: its id, the token itself, and what is kept of it. Without a name it is called `token-ID`."""
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    record = TokenRecord(
        name=name or f"token-{token_id}",
        sha256=_hash(secret),
        grants={tenant: word_of(role) for tenant, role in grants.items()},
        created_at=now,
        expires_at=expires_at,
    )
    return token_id, f"{PREFIX}{token_id}_{secret}", record


def is_token(credential: str) -> bool:
    """Whether it looks like a static token; none looks like a JWT too, which has dots."""
    return credential.startswith(PREFIX) and "." not in credential


def record_of(tokens: TokensFile, credential: str) -> TokenRecord | None:
    """The record of this token, expired or not; None: there is none, or its secret is another."""
    found = _TOKEN.fullmatch(credential)
    token_id, secret = found.groups() if found else ("", "")
    record = tokens.tokens.get(token_id)
    # Where there is no record the same is computed: the time must not tell which ids there are.
    same = hmac.compare_digest(_hash(secret), record.sha256 if record else _NO_HASH)
    return record if same else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
