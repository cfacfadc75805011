"""How to reach Kafka, from the environment."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from matih_kafka.environment import from_environment, secret_of
from matih_kafka.errors import InvalidSettings
from matih_schemas.topics import EVENTS_TOPIC, PARTITIONS, Framing


class KafkaSettings(BaseSettings):
    """Connection settings: `KAFKA_<NAME>` in the environment. A secret also comes from the file `KAFKA_<NAME>_FILE`.

    Attributes:
        bootstrap_servers: host:port, several separated by commas.
        security_protocol: whether the connection uses TLS (SSL), a user (SASL), or both.
        sasl_mechanism: how the user proves to be it.
        sasl_username: the user; needed for SASL.
        sasl_password: its password.
        sasl_password_file: the file that holds it.
        ssl_cafile: PEM file of the authorities to trust; the system's without one.
        ssl_certfile: PEM file with the client's certificate, for mutual TLS.
        ssl_keyfile: PEM file with the key of that certificate, if it is not in the same file.
        ssl_key_password: the password of that key, if it has one.
        ssl_key_password_file: the file that holds it.
        events_topic: the topic of the tracking events.
        events_partitions: how many partitions it has; for another number make another topic.
        events_framing: how its records name their schema: `single-object` (Avro's own encoding) or `confluent` (the ids
            of the registry in SCHEMA_REGISTRY_URL), for consumers that expect that. Our own readers take both.
    """

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    bootstrap_servers: str = "localhost:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    sasl_password_file: Path | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_key_password: SecretStr = SecretStr("")
    ssl_key_password_file: Path | None = None
    events_topic: str = Field(default=EVENTS_TOPIC, validation_alias="MATIH_EVENTS_TOPIC")
    events_partitions: int = Field(default=PARTITIONS, ge=1, le=10_000, validation_alias="MATIH_EVENTS_PARTITIONS")

    events_framing: Literal["single-object", "confluent"] = Field(
        default="single-object", validation_alias="MATIH_EVENTS_FRAMING"
    )

    @model_validator(mode="after")
    def _sasl_has_a_user(self) -> KafkaSettings:
        if self.security_protocol.startswith("SASL") and not self.sasl_username:
            raise ValueError(f"KAFKA_SECURITY_PROTOCOL is {self.security_protocol}: set KAFKA_SASL_USERNAME too")
        return self

    @property
    def framing(self) -> Framing:
        """The topic's framing."""
        return Framing(self.events_framing)

    @property
    def principal(self) -> str:
        """Who we are to the broker: the SASL user, else the certificate's file, else nobody."""
        return self.sasl_username or str(self.ssl_certfile or "")

    def client_options(self) -> dict[str, Any]:
        """The keyword arguments that every aiokafka client of this process takes.

        Raises:
            InvalidSettings: a file with a certificate, key or password can't be read.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = secret_of(self.sasl_password, self.sasl_password_file)
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile:
                password = secret_of(self.ssl_key_password, self.ssl_key_password_file)
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password)
        except (OSError, ssl.SSLError) as error:
            files = [str(path) for path in (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile) if path]
            raise InvalidSettings(f"TLS to Kafka with {', '.join(files)}: {error}; check KAFKA_SSL_*") from error
        return context


def kafka_settings() -> KafkaSettings:
    """The settings of this process's environment.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    return from_environment(KafkaSettings)
