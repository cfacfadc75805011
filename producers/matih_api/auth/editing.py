"""What the commands make of the tokens' file. Pure but for the randomness of new tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from matih_api.auth.token_records import TenantRecord, TokenRecord, TokensFile, mint
from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from matih_api.auth.principal import Role


class NoSuchTenant(MatihError):
    """A token can't be made for a tenant that is not noted: a mistyped name would be a tenant of its own."""

    def __init__(self, tenant: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no tenant {tenant!r}: `matih tenants create {tenant} --reason TEXT` makes it")
        self.tenant = tenant
        self.known = sorted(known)


class NoSuchToken(MatihError):
    """There is no token of that id."""


class Made(NamedTuple):
    """A new token; `token` itself is the secret, and is shown once."""

    token_id: str
    token: str
    record: TokenRecord

    def as_json(self) -> dict[str, Any]:
        """All but the secret."""
        return {"id": self.token_id} | self.record.model_dump(mode="json", exclude={"sha256"})


def with_tenant(file: TokensFile, tenant: str, now: datetime) -> tuple[TokensFile, bool]:
    """The file with this tenant, and whether it is a new one."""
    if tenant in file.tenants:
        return file, False
    return file.model_copy(update={"tenants": file.tenants | {tenant: TenantRecord(created_at=now)}}), True


def with_token(
    file: TokensFile, name: str | None, grants: Mapping[str, Role], now: datetime, expires_at: datetime | None
) -> tuple[TokensFile, Made]:
    """The file with a new token. Without a name it is called by its id.

    Raises:
        NoSuchTenant: it would be for a tenant that is not noted.
    """
    for tenant in grants:
        if tenant not in file.tenants:
            raise NoSuchTenant(tenant, file.tenants)
    made = Made(*mint(name, grants, now, expires_at))
    return file.model_copy(update={"tokens": file.tokens | {made.token_id: made.record}}), made


def without_token(file: TokensFile, token_id: str) -> tuple[TokensFile, TokenRecord]:
    """The file without this token, and what was kept of it.

    Raises:
        NoSuchToken: it is not there.
    """
    if token_id not in file.tokens:
        raise NoSuchToken("there is no token of that id")
    left = {key: record for key, record in file.tokens.items() if key != token_id}
    return file.model_copy(update={"tokens": left}), file.tokens[token_id]


def as_json(file: TokensFile, now: datetime) -> dict[str, Any]:
    """All but the hashes."""
    tokens = [
        Made(token_id, "", record).as_json() | {"expired": record.expired(now)}
        for token_id, record in file.tokens.items()
    ]
    return {"tenants": [{"name": name} | one.model_dump(mode="json") for name, one in file.tenants.items()]} | {
        "tokens": tokens
    }
