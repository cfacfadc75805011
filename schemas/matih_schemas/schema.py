"""The Avro schemas: the one we write, and every one that was ever released."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastavro.schema import (
    SchemaParseException,
    UnknownType,
    fingerprint,
    parse_schema,
    to_parsing_canonical_form,
)

Schema = dict[str, Any]

NAME: Final = "tracking_event.avsc"
NAMESPACE: Final = "ai.matih.tracking"
_NO_SCHEMA: Final = (SchemaParseException, UnknownType, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What fastavro raises on a text that is no schema."""


def load(text: str) -> Schema:
    """A schema from its JSON text, parsed."""
    parsed = parse_schema(json.loads(text))
    if not isinstance(parsed, dict):
        raise TypeError(f"the schema of an event is a record, not {type(parsed).__name__}")
    return parsed


def rabin(schema: Schema) -> bytes:
    """The schema's CRC-64-AVRO fingerprint, 8 bytes, little endian (Avro specification, "Schema Fingerprints")."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def fingerprint_of(text: str) -> bytes | None:
    """The fingerprint of a schema's JSON text; None if it is no record's, or no schema at all."""
    try:
        return rabin(load(text))
    except _NO_SCHEMA:
        return None


def text() -> str:
    """The schema this release writes and reads with, as its file has it: for consumers and registries."""
    return (files("matih_schemas") / "avsc" / NAME).read_text(encoding="utf-8")


@cache
def current() -> Schema:
    """The schema this release writes and reads with, parsed."""
    return load(text())


@cache
def known() -> dict[bytes, Schema]:
    """Every schema this release can read, by fingerprint: its own and those in avsc/released/."""
    released = files("matih_schemas") / "avsc" / "released"
    texts = [entry.read_text(encoding="utf-8") for entry in released.iterdir()] if released.is_dir() else []
    schemas = [current(), *(load(text) for text in texts)]
    return {rabin(schema): schema for schema in schemas}
