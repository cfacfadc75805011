"""What all settings from the environment have in common: wrong values are told by name, secrets may stand in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from matih_kafka.errors import InvalidSettings

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr
    from pydantic_settings import BaseSettings

S = TypeVar("S", bound="BaseSettings")


def from_environment(kind: type[S]) -> S:
    """Settings of this kind, from this process's environment.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    try:
        return kind()
    except ValidationError as error:
        raise invalid_settings(error, kind.model_config["env_prefix"]) from None


def invalid_settings(error: ValidationError, prefix: str) -> InvalidSettings:
    """What is wrong, each variable by its name and never with its value: it may be a secret."""
    return InvalidSettings("; ".join(_complaint(item, prefix) for item in error.errors()))


def secret_in(file: Path) -> str:
    """The secret that the file holds, without the white space around it.

    Raises:
        InvalidSettings: the file can't be read.
    """
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(f"can't read the secret in {file}: {error.strerror}") from error


def secret_of(value: SecretStr, file: Path | None) -> str:
    """The secret that is given, else the one that the file holds; empty for none.

    Raises:
        InvalidSettings: the file can't be read.
    """
    return value.get_secret_value() or (secret_in(file) if file else "")


def base_url(url: str, example: str, secret_place: str) -> str:
    """A server's base URL without the slash at its end.

    Args:
        url: as it was given.
        example: one that can be.
        secret_place: where the secret goes that may not stand in the URL, as it would be shown.

    Raises:
        ValueError: it is none; the message does not have it.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"use a base URL, such as {example}")
    if parts.port == 0:
        raise ValueError("use a port from 1 to 65535")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"use a URL without user, query and fragment; {secret_place}")
    return url.strip().rstrip("/")


def _complaint(item: Any, prefix: str) -> str:
    if not item["loc"]:
        return str(item["msg"]).removeprefix("Value error, ")
    name = str(item["loc"][0])
    return f"{name if name.isupper() else f'{prefix}{name.upper()}'}: {item['msg']}"
