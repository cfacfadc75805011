"""The types, the schema and the examples say the same."""

from __future__ import annotations

import dataclasses
import json
from importlib.resources import files
from typing import get_args

import pytest

from matih_schemas import codec, examples, schema
from matih_schemas.events import PAYLOADS, EntryGroup, MetricContext, Pair, Status, TrackingEvent

AVSC = json.loads((files("matih_schemas") / "avsc" / schema.NAME).read_text())


def records(node: object) -> dict[str, dict]:
    """Every record in the schema, by name."""
    found = {}
    if isinstance(node, dict):
        if node.get("type") == "record":
            found[node["name"]] = node
        for part in node.values():
            found |= records(part)
    if isinstance(node, list):
        for part in node:
            found |= records(part)
    return found


@pytest.mark.parametrize(
    "kind", [TrackingEvent, EntryGroup, Pair, MetricContext, *PAYLOADS], ids=lambda kind: kind.__name__
)
def test_type_and_schema_have_the_same_fields(kind: type) -> None:
    in_schema = {part["name"]: part for part in records(AVSC)[kind.__name__]["fields"]}
    in_type = {part.name: part for part in dataclasses.fields(kind)}
    assert in_schema.keys() == in_type.keys()
    for name, part in in_type.items():
        optional = isinstance(in_schema[name]["type"], list) and in_schema[name]["type"][0] == "null"
        assert optional == str(part.type).endswith("| None"), name


def test_union_has_every_payload_in_order() -> None:
    branches = next(part["type"] for part in AVSC["fields"] if part["name"] == "payload")
    assert [branch["name"] for branch in branches] == [payload.__name__ for payload in PAYLOADS]


def test_statuses_are_the_schemas() -> None:
    ended = records(AVSC)["RunEnded"]
    assert tuple(next(p["type"]["symbols"] for p in ended["fields"] if p["name"] == "status")) == get_args(Status)


def test_there_is_one_example_of_each_kind_and_nothing_else() -> None:
    there = {entry.name for entry in (files("matih_schemas") / "examples").iterdir()}
    assert there == {examples.file_name(payload.__name__) for payload in PAYLOADS}


@pytest.mark.parametrize("event", examples.examples(), ids=lambda event: event.kind)
@pytest.mark.parametrize("schema_id", [None, 7])
def test_every_example_survives_the_codec(event: TrackingEvent, schema_id: int | None) -> None:
    value = codec.encode(event, schema_id)
    assert codec.decode(codec.as_single_object(value, (), lambda _: schema.rabin(schema.current()))) == event


@pytest.mark.parametrize("event", examples.examples(), ids=lambda event: event.kind)
def test_every_example_has_a_key_and_cloudevents_headers(event: TrackingEvent) -> None:
    key = codec.event_key(event).decode()
    assert key.startswith("acme/")
    headers = dict(codec.headers(event))
    assert headers["ce_id"].decode() == event.event_id
    assert headers["ce_type"].decode().endswith(f".{event.kind}")
    assert headers["ce_time"].startswith(b"2026-01-01T00:00:00.0")
    assert headers["ce_time"].endswith(b"Z")


def test_optional_fields_have_defaults_so_that_older_writers_can_be_read() -> None:
    for name, record in records(AVSC).items():
        for part in record["fields"]:
            if isinstance(part["type"], list) and part["type"][0] == "null":
                assert part["default"] is None, f"{name}.{part['name']}"
