"""The guide's consumers read a real topic, as they stand there; kcat's line where kcat is installed."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from fastavro import schemaless_writer
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form
from tests.waiting import until

from matih_kafka.publisher import Record
from matih_schemas import codec, examples
from matih_schemas.events import AdminAction
from matih_schemas.schema import text as schema_text

if TYPE_CHECKING:
    from tests.registry.topic import ConfluentTopic

    from matih_schemas.events import TrackingEvent

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "consumers.md").read_text()
WITHOUT_REGISTRY, WITH_REGISTRY = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
KCAT = re.findall(r"```sh\n(kcat .*?)```", GUIDE, re.DOTALL)[0]


def line(event: TrackingEvent) -> str:
    who = event.actor or event.claimed_user
    return f"{codec.event_key(event).decode()} ai.matih.tracking.{event.kind} {who}"


def consume(program: str, folder: Path, count: int, *schemas: str) -> list[str]:
    """Runs a program of the guide until it has said so many lines."""
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen([sys.executable, "-c", program, *schemas], cwd=folder, stdout=out, stderr=err)
    try:
        until(
            lambda: len((folder / "out").read_text().splitlines()) >= count or process.poll() is not None,
            f"{count} lines",
        )
        assert process.poll() is None, (folder / "err").read_text()
    finally:
        process.kill()
        process.wait()
    return (folder / "out").read_text().splitlines()


def twice(topic: ConfluentTopic) -> list[TrackingEvent]:
    """Every kind of event, the first of them published twice."""
    events = examples.examples()
    topic.publish([events[0], *events])
    return events


def test_without_a_registry(confluent: ConfluentTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATIH_EVENTS_FRAMING", "single-object")
    events = twice(confluent)
    command = [str(Path(sys.executable).parent / "matih"), "topics", "schema"]
    schema = subprocess.run(command, capture_output=True, check=True)
    (tmp_path / "tracking_event.avsc").write_bytes(schema.stdout)
    told = consume(WITHOUT_REGISTRY, tmp_path, len(events), "tracking_event.avsc")
    assert sorted(told) == sorted(map(line, events))


def of_the_next_release(events: list[TrackingEvent], avsc: Path) -> list[Record]:
    """The events as a producer would write them whose schema has one field more, and that schema's file."""
    schema = json.loads(schema_text())
    schema["fields"].append({"name": "colour", "type": ["null", "string"], "default": None})
    avsc.write_text(json.dumps(schema))
    parsed = parse_schema(schema)
    marker = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))
    records = []
    for event in events:
        body = io.BytesIO()
        schemaless_writer(body, parsed, codec.to_record(event) | {"colour": "red"})
        records.append(Record(codec.event_key(event), marker + body.getvalue(), tuple(codec.headers(event))))
    return records


def test_two_schemas_on_one_topic(confluent: ConfluentTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer has the new schema before the producers do: it reads what either writes, as the new one has it."""
    monkeypatch.setenv("MATIH_EVENTS_FRAMING", "single-object")
    before, after = examples.examples(), [replace(one, event_id=str(uuid4())) for one in examples.examples()]
    (tmp_path / "tracking_event.avsc").write_text(schema_text())
    newer = of_the_next_release(after, tmp_path / "next.avsc")
    program = WITHOUT_REGISTRY.replace('["claimed_user"],', '["claimed_user"], event["colour"],')
    confluent.publish(before)
    asyncio.run(confluent.send(newer))
    told = consume(program, tmp_path, len(before) + len(after), "tracking_event.avsc", "next.avsc")
    assert sorted(told) == sorted([f"{line(one)} None" for one in before] + [f"{line(one)} red" for one in after])


@pytest.mark.soak
def test_an_older_schema_stops_and_loses_nothing(
    confluent: ConfluentTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = examples.examples()[:1]
    (tmp_path / "tracking_event.avsc").write_text(schema_text())
    asyncio.run(confluent.send(of_the_next_release(events, tmp_path / "next.avsc")))
    words = [sys.executable, "-c", WITHOUT_REGISTRY, "tracking_event.avsc"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "get the new tracking_event.avsc" in done.stderr
    told = consume(WITHOUT_REGISTRY, tmp_path, 1, "tracking_event.avsc", "next.avsc")
    assert told == list(map(line, events))


def test_with_a_registry(confluent: ConfluentTopic, tmp_path: Path) -> None:
    events = twice(confluent)
    told = consume(WITH_REGISTRY, tmp_path, len(events))
    assert sorted(told) == sorted(map(line, events))


@pytest.mark.skipif(shutil.which("kcat") is None, reason="Debian's kcat is not installed")
def test_kcat(confluent: ConfluentTopic) -> None:
    events = twice(confluent)
    done = subprocess.run(["sh", "-c", KCAT], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    rows = [row.split(" ", 3) for row in done.stdout.splitlines()]
    assert len(rows) == len(events) + 1
    found = {(key, dict(part.split("=", 1) for part in headers.split(","))["ce_id"]) for _, _, key, headers in rows}
    assert found == {(codec.event_key(event).decode(), event.event_id) for event in events}
    admin = next(event for event in events if isinstance(event.payload, AdminAction))
    ((_, _, key, _),) = [row for row in rows if "ce_type=ai.matih.tracking.AdminAction" in row[3]]
    assert key == f"{admin.tenant_id}/admin"
