"""One example of each event kind, as tested data: examples/<kind>.json, in Avro's JSON terms."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from matih_schemas import codec
from matih_schemas.events import PAYLOADS

if TYPE_CHECKING:
    from matih_schemas.events import TrackingEvent


def file_name(kind: str) -> str:
    """The example's file of an event kind: `RunCreated` -> `run_created.json`."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in kind).lstrip("_") + ".json"


def record(kind: str) -> dict[str, Any]:
    """The example as it stands in its file."""
    text = (files("matih_schemas") / "examples" / file_name(kind)).read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def examples() -> list[TrackingEvent]:
    """The example of every event kind, in the order of the schema's union."""
    return [codec.from_record(record(payload.__name__)) for payload in PAYLOADS]
