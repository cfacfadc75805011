"""Who may use the API, from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from matih_api.auth.addresses import is_loopback
from matih_kafka.environment import from_environment


class AuthSettings(BaseSettings):
    """`MATIH_<NAME>` in the environment.

    Attributes:
        api_tokens_file: the file with the hashes of the static tokens, which `matih tenants` writes; without it
            `tokens.json` in MATIH_HOME, if it is there.
        home: the folder of that `tokens.json`.
        api_jwks_url: where the OIDC issuer publishes its keys (`jwks_uri`), https; http on this machine only. None: no
            JWTs are accepted.
        api_jwt_issuer: the `iss` that a JWT must have; needed with MATIH_API_JWKS_URL.
        api_jwt_audience: the `aud` that a JWT must have, several separated by commas; needed with MATIH_API_JWKS_URL.
        api_jwt_tenant_claim: the claim that names the tenants: one, a list, or an object of tenant and role. A claim
            inside of others is named by its path, `a.b`.
        api_jwt_role_claim: the claim that names the role where the tenant claim does not; reader if it is absent.
        api_jwt_actor_claim: the claim with the name for events and logs; one that its bearer can't choose.
        api_open: where the API may listen while nobody has to log in (no tokens, no JWKS): `loopback`, or `anywhere`.
        api_allowed_hosts: while nobody has to log in, the names of this server, separated by commas, besides localhost
            and addresses: requests for other names, and writes by pages of other sites, are refused; `*` lets all pass.
    """

    model_config = SettingsConfigDict(
        env_prefix="MATIH_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    api_tokens_file: Path | None = None
    home: Path = Path(".matih")
    api_jwks_url: str | None = None
    api_jwt_issuer: str | None = None
    api_jwt_audience: str | None = None
    api_jwt_tenant_claim: str = Field(default="tenant_id", min_length=1)
    api_jwt_role_claim: str = Field(default="role", min_length=1)
    api_jwt_actor_claim: str = Field(default="sub", min_length=1)
    api_open: Literal["loopback", "anywhere"] = "loopback"
    api_allowed_hosts: str = ""

    @field_validator("api_jwks_url")
    @classmethod
    def _keys_come_safely(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if not parts.hostname or parts.username is not None or parts.fragment:
            raise ValueError("write https://HOST/PATH, without a user and without a fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("use https: who can change the keys under way can log in as anybody")
        return url

    @model_validator(mode="after")
    def _jwt_is_whole(self) -> AuthSettings:
        given = {
            "MATIH_API_JWKS_URL": self.api_jwks_url,
            "MATIH_API_JWT_ISSUER": self.api_jwt_issuer,
            "MATIH_API_JWT_AUDIENCE": ",".join(self.audiences),
        }
        missing = [name for name, value in given.items() if not value]
        if missing and len(missing) < len(given):
            raise ValueError(f"JWTs need {', '.join(given)}: set {' and '.join(missing)} too")
        return self

    @property
    def audiences(self) -> tuple[str, ...]:
        """What `aud` may be."""
        return tuple(one.strip() for one in (self.api_jwt_audience or "").split(",") if one.strip())

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """The server's own names."""
        return frozenset(one.strip().lower() for one in self.api_allowed_hosts.split(",")) - {""}

    @property
    def tokens_path(self) -> Path:
        """Where the tokens' file is, or would be."""
        return self.api_tokens_file or self.home / "tokens.json"


def auth_settings() -> AuthSettings:
    """The settings of this process's environment.

    Raises:
        matih_kafka.errors.InvalidSettings: one of them can't be; the message names the variable.
    """
    return from_environment(AuthSettings)
