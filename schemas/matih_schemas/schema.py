"""The Avro schemas: the one we write, and every one that was ever released."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

Schema = dict[str, Any]

NAME: Final = "tracking_event.avsc"
NAMESPACE: Final = "ai.matih.tracking"


def load(text: str) -> Schema:
    """A schema from its JSON text, parsed."""
    parsed = parse_schema(json.loads(text))
    if not isinstance(parsed, dict):
        raise TypeError(f"the schema of an event is a record, not {type(parsed).__name__}")
    return parsed


def rabin(schema: Schema) -> bytes:
    """The schema's CRC-64-AVRO fingerprint, 8 bytes, little endian (Avro specification, "Schema Fingerprints")."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


@cache
def current() -> Schema:
    """The schema this release writes and reads with."""
    return load((files("matih_schemas") / "avsc" / NAME).read_text(encoding="utf-8"))


@cache
def known() -> dict[bytes, Schema]:
    """Every schema this release can read, by fingerprint: its own and those in avsc/released/."""
    released = files("matih_schemas") / "avsc" / "released"
    texts = [entry.read_text(encoding="utf-8") for entry in released.iterdir()] if released.is_dir() else []
    schemas = [current(), *(load(text) for text in texts)]
    return {rabin(schema): schema for schema in schemas}
