"""The guide's consumers read a real topic, as they stand there; kcat's line where kcat is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until

from matih_schemas import codec, examples
from matih_schemas.events import AdminAction

if TYPE_CHECKING:
    from tests.registry.topic import ConfluentTopic

    from matih_schemas.events import TrackingEvent

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "consumers.md").read_text()
WITHOUT_REGISTRY, WITH_REGISTRY = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
KCAT = re.findall(r"```sh\n(kcat .*?)```", GUIDE, re.DOTALL)[0]


def line(event: TrackingEvent) -> str:
    who = event.actor or event.claimed_user
    return f"{codec.event_key(event).decode()} ai.matih.tracking.{event.kind} {who}"


def consume(program: str, folder: Path, count: int) -> list[str]:
    """Runs a program of the guide until it has said so many lines."""
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=out, stderr=err)
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
    told = consume(WITHOUT_REGISTRY, tmp_path, len(events))
    assert sorted(told) == sorted(map(line, events))


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
