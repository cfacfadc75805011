"""How to reach the event gateway, from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from matih_kafka.environment import base_url, from_environment, secret_in
from matih_kafka.errors import InvalidSettings

TOKEN_MAX: Final = 16_384


class GatewaySettings(BaseSettings):
    """`MATIH_API_<NAME>` in the environment. With MATIH_API_URL and a token events go there, and not to Kafka.

    Attributes:
        url: the API's base URL: https://host or https://host:port, with a path if it has one. Without a token it is
            used only where KAFKA_BOOTSTRAP_SERVERS is not set.
        token: the credential; it needs the role writer for the tenants that are logged for.
        token_file: the file that holds it, read again at each new connection: so it may be replaced under a shipper.
    """

    model_config = SettingsConfigDict(
        env_prefix="MATIH_API_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    url: str = Field(default="")
    token: SecretStr = SecretStr("")
    token_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_a_base_url(cls, url: str) -> str:
        return base_url(url, "https://tracking.example.com", "the token goes into MATIH_API_TOKEN")

    def current_token(self) -> str:
        """The token as it is now; empty for none.

        Raises:
            InvalidSettings: its file can't be read, or it holds what no token can hold. The message never has it.
        """
        token = self.token.get_secret_value().strip()
        if not token and self.token_file is not None:
            token = secret_in(self.token_file)
        if len(token) > TOKEN_MAX or not all("!" <= character <= "~" for character in token):
            where = "MATIH_API_TOKEN" if self.token.get_secret_value() else f"the file {self.token_file}"
            raise InvalidSettings(f"{where} holds no token: one line of ASCII without blanks, as it was given out")
        return token


def gateway_settings() -> GatewaySettings:
    """The settings of this process's environment, which names a gateway.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    return from_environment(GatewaySettings)
