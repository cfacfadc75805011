"""How to reach the schema registry, from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from matih_kafka.environment import base_url, from_environment, secret_of
from matih_kafka.errors import InvalidSettings


class RegistrySettings(BaseSettings):
    """`SCHEMA_REGISTRY_<NAME>` in the environment. A secret also comes from the file `SCHEMA_REGISTRY_<NAME>_FILE`.

    Attributes:
        url: the base URL of the registry's Confluent API, such as https://registry:8081 or, with Apicurio,
            http://registry:8080/apis/ccompat/v7; empty for none.
        username: for basic authentication, if it asks for that.
        password: the user's password.
        password_file: the file that holds it, read again for each question.
        ssl_cafile: PEM file of the authorities to trust; the system's without one.
        timeout: seconds that one answer may take.
        cache_dir: a folder for the ids that were learnt, so that they outlive the process and the registry; without it
            `$XDG_CACHE_HOME/matih/schemas`, else `~/.cache/matih/schemas`.
    """

    model_config = SettingsConfigDict(
        env_prefix="SCHEMA_REGISTRY_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    url: str = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    ssl_cafile: Path | None = None
    timeout: float = Field(default=2.0, gt=0)
    cache_dir: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_a_base_url(cls, url: str) -> str:
        place = "user and password go into SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD"
        return base_url(url, "https://registry.example.com", place) if url.strip() else ""

    def current_password(self) -> str:
        """The password as it is now.

        Raises:
            InvalidSettings: its file can't be read.
        """
        return secret_of(self.password, self.password_file)


def registry_settings() -> RegistrySettings:
    """The settings of this process's environment.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    return from_environment(RegistrySettings)


def required_settings() -> RegistrySettings:
    """As `registry_settings`, for what can't be without a registry.

    Raises:
        InvalidSettings: also if none is named.
    """
    settings = registry_settings()
    if not settings.url:
        raise InvalidSettings("MATIH_EVENTS_FRAMING is confluent: set SCHEMA_REGISTRY_URL to the registry's address")
    return settings
