"""What all settings from the environment have in common: wrong values are told by name, secrets may stand in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matih_kafka.errors import InvalidSettings

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError


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


def _complaint(item: Any, prefix: str) -> str:
    if not item["loc"]:
        return str(item["msg"]).removeprefix("Value error, ")
    name = str(item["loc"][0])
    return f"{name if name.isupper() else f'{prefix}{name.upper()}'}: {item['msg']}"
