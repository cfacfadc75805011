"""The archive's settings, from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from matih_kafka.environment import from_environment, secret_in
from matih_kafka.errors import InvalidSettings
from matih_workers.audit import notes
from matih_workers.audit.errors import InvalidKey

if TYPE_CHECKING:
    from matih_workers.audit.notes import PublicKey, SigningKey

GROUP: Final = "matih-audit"


class AuditSettings(BaseSettings):
    """`MATIH_<NAME>` in the environment; Kafka's settings are `KafkaSettings`.

    Attributes:
        audit_archive: the archive: a folder, or an address such as s3://bucket/folder.
        audit_key: the key that signs its checkpoints, as `matih audit keygen` makes it.
        audit_key_file: the file that holds it.
        audit_public_keys: public keys that are accepted beside that key's own, comma separated: those before a
            rotation, or for who only verifies.
        audit_group: the consumer group whose offsets tell how far the archiver is; nothing is read from them.
        audit_batch_bytes: bytes of records that are written at once.
        audit_batch_seconds: seconds after which what has come is written, however little it is.
        audit_anchor: a folder or address that each checkpoint is copied to, such as a bucket with Object Lock:
            whoever holds the copies knows an archive that was made up later.
        audit_access_log: where each reading of the archive is noted: a folder or address, `off`, or nothing for the
            archive itself.
        audit_host: the address of the archiver's pages.
        audit_port: the port of the archiver's pages; 0 takes a free one and says which.
    """

    model_config = SettingsConfigDict(
        env_prefix="MATIH_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    audit_archive: str = ""
    audit_key: SecretStr = SecretStr("")
    audit_key_file: Path | None = None
    audit_public_keys: Annotated[tuple[str, ...], NoDecode] = ()
    audit_group: str = Field(default=GROUP, min_length=1)
    audit_batch_bytes: int = Field(default=32 << 20, ge=1)
    audit_batch_seconds: float = Field(default=30.0, gt=0)
    audit_anchor: str = ""
    audit_access_log: str = ""
    audit_host: str = "127.0.0.1"
    audit_port: int = Field(default=8091, ge=0, le=65535)

    @field_validator("audit_public_keys", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        return tuple(filter(None, map(str.strip, given.split(",")))) if isinstance(given, str) else given

    def signing_key(self) -> SigningKey:
        """The key that signs.

        Raises:
            InvalidSettings: there is none, or it is none; the message never holds it.
        """
        text = self.audit_key.get_secret_value() or (secret_in(self.audit_key_file) if self.audit_key_file else "")
        if not text:
            raise InvalidSettings(
                "no key to sign with: make one by `matih audit keygen NAME --out FILE`, keep it away from the archive, "
                "and set MATIH_AUDIT_KEY_FILE=FILE"
            )
        try:
            return notes.signing_key(text)
        except InvalidKey as error:
            raise InvalidSettings(f"MATIH_AUDIT_KEY: {error}") from error

    def accepted_keys(self) -> tuple[PublicKey, ...]:
        """The public keys of MATIH_AUDIT_PUBLIC_KEYS.

        Raises:
            InvalidSettings: one is none.
        """
        try:
            return tuple(map(notes.public_key, self.audit_public_keys))
        except InvalidKey as error:
            raise InvalidSettings(f"MATIH_AUDIT_PUBLIC_KEYS: {error}") from error


def audit_settings() -> AuditSettings:
    """The settings of this process's environment.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    return from_environment(AuditSettings)
