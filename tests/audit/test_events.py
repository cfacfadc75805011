"""An auditor's questions, answered from an archive of real events, without Kafka and without MLflow."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit.test_recovery import KEY, TOPIC_ID
from tests.waiting import until
from tests.workers.journals import Entry, Producer

from matih_console.main import main
from matih_schemas import codec
from matih_workers.audit.batch import Batch
from matih_workers.audit.log import LogWriter
from matih_workers.audit.record import ArchivedRecord
from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matih_schemas.events import TrackingEvent

RECEIVED = 1_750_000_000_000


def add(
    storage: LocalFolder, events: Sequence[TrackingEvent | bytes], partition: int = 0, received: int = RECEIVED
) -> None:
    """Archives events as if they stood on the topic next, one a second."""
    batch = Batch([TOPIC_ID], LogWriter(storage, KEY).state)
    first = LogWriter(storage, KEY).state.ends.get(TOPIC_ID.partition(partition), 0)
    records = [record(offset, event, received) for offset, event in enumerate(events, first)]
    batch.add(TOPIC_ID.partition(partition), records)
    storage.write(batch.files())
    LogWriter(storage, KEY).commit(batch.entries())


def record(offset: int, event: TrackingEvent | bytes, received: int = RECEIVED) -> ArchivedRecord:
    if isinstance(event, bytes):
        return ArchivedRecord(offset, received + 1000 * offset, 1, b"acme/x", event)
    key, headers = codec.event_key(event), tuple(codec.headers(event))
    return ArchivedRecord(offset, received + 1000 * offset, 1, key, codec.encode(event), headers)


@pytest.fixture
def storage(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "archive")


def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "MATIH_AUDIT_ARCHIVE": str(tmp_path / "archive")}


def command(tmp_path: Path, *arguments: str, code: int = 0) -> str:
    """What one command prints, run in this process."""
    out, errors = io.StringIO(), io.StringIO()
    os.environ["MATIH_AUDIT_ARCHIVE"] = str(tmp_path / "archive")
    with redirect_stdout(out), redirect_stderr(errors):
        assert main(["audit", *arguments]) == code, (out.getvalue(), errors.getvalue())
    return out.getvalue() if code == 0 or out.getvalue() else errors.getvalue()


def report(tmp_path: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    return json.loads(command(tmp_path, *arguments, "--json", code=code))  # type: ignore[no-any-return]


def test_a_runs_history(storage: LocalFolder, tmp_path: Path) -> None:
    who, other = Producer(tenant="acme"), Producer(tenant="acme")
    first = Entry({"loss": 0.5, "nan": float("nan")}, {"lr": "1"}, {"note": "a"}, step=3)
    second = Entry({}, {"lr": "2"}, {"note": "b"})
    add(storage, [who.created(), other.created(), who.log(first), who.log(second), who.ended("FAILED")])
    shown = report(tmp_path, "show", who.run_id)
    assert [step["kind"] for step in shown["events"]] == ["RunCreated", "RunLogged", "RunLogged", "RunEnded"]
    logged, again, ended = shown["events"][1:]
    assert (logged["place"], logged["received_at"], logged["occurred_at"]) == ("0@2", RECEIVED + 2000, first.time)
    assert logged["changes"] == [
        {"of": "param", "key": "lr", "value": "1", "previous": None},
        {"of": "tag", "key": "note", "value": "a", "previous": None},
        {"of": "metrics", "key": "loss, nan", "value": "2 points of steps 3 to 3", "previous": None},
    ]
    assert [(change["value"], change["previous"]) for change in again["changes"]] == [("2", "1"), ("b", "a")]
    assert [(change["value"], change["previous"]) for change in ended["changes"]] == [("FAILED", "RUNNING")]
    assert "tag note = b (before: a)" in command(tmp_path, "show", who.run_id)
    assert "not in the archive" in command(tmp_path, "show", "0" * 32, code=1)


def test_exports(storage: LocalFolder, tmp_path: Path) -> None:
    acme, more = Producer(tenant="acme", experiment="one"), Producer(tenant="more")
    add(storage, [acme.created(), more.created(), b"no event", acme.log(Entry({"nan": float("nan")}))])
    rows = [json.loads(line) for line in command(tmp_path, "export").splitlines()]
    assert [(row["offset"], row["tenant"], row["kind"]) for row in rows] == [
        (0, "acme", "RunCreated"),
        (1, "more", "RunCreated"),
        (2, None, None),
        (3, "acme", "RunLogged"),
    ]
    assert rows[3]["payload"]["groups"][0]["value"] == ["NaN"]
    assert "no event" not in rows[2]["unreadable"]
    assert "neither of the two framings" in rows[2]["unreadable"]
    csv_rows = list(csv.DictReader(command(tmp_path, "export", "--format", "csv").splitlines()))
    assert [row["event_id"] for row in csv_rows] == [row["event_id"] or "" for row in rows]
    command(tmp_path, "export", "--format", "parquet", "--out", str(tmp_path / "events.parquet"))
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "events.parquet").to_pylist()
    for given, row in zip(table, rows, strict=True):
        assert given | {"payload": None} == row | {"payload": None}

    def offsets(*arguments: str) -> list[int]:
        return [json.loads(line)["offset"] for line in command(tmp_path, "export", *arguments).splitlines()]

    assert offsets("--tenant", "acme") == [0, 2, 3]
    assert offsets("--kind", "RunCreated", "--tenant", "more") == [1]
    assert offsets("--experiment", "one") == [0]
    assert offsets("--actor", "nobody") == []
    assert offsets("--from", "2025-06-15T15:06:41Z", "--to", "2025-06-15T15:06:43Z") == [1, 2]
    assert "--out" in command(tmp_path, "export", "--format", "parquet", code=2)
    assert "--from" in command(tmp_path, "export", "--from", "rain", code=2)


def test_tail_follows(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    add(storage, [who.created(), who.log(Entry({"a": 1.0}))])
    assert len(command(tmp_path, "tail", "-n", "1").splitlines()) == 1
    with (tmp_path / "tail").open("wb") as out:
        following = subprocess.Popen(
            [sys.executable, "-m", "matih_console.main", "audit", "tail", "--follow", "--json"],
            env=environment(tmp_path),
            stdout=out,
        )
    try:
        lines = lambda: (tmp_path / "tail").read_text().splitlines()  # noqa: E731
        until(lambda: len(lines()) == 2, "what is there")
        add(storage, [who.ended()])
        until(lambda: len(lines()) == 3, "what comes")
        assert json.loads(lines()[2])["kind"] == "RunEnded"
    finally:
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130
