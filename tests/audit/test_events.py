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
from tests.workers.journals import Entry, Producer, experiment_event

from matih_console.main import main
from matih_schemas import codec, events, identity
from matih_schemas.admin_details import RUNS, listed
from matih_workers.audit.batch import Batch
from matih_workers.audit.log import LogWriter
from matih_workers.audit.record import ArchivedRecord
from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matih_schemas.events import TrackingEvent

ABOUT = (("acme", "mine"), ("acme", "other"), ("evil", "mine"))
RECEIVED = 1_750_000_000_000


def add(
    storage: LocalFolder, some: Sequence[TrackingEvent | bytes], partition: int = 0, received: int = RECEIVED
) -> None:
    """Archives events as if they stood on the topic next, one a second."""
    batch = Batch([TOPIC_ID], LogWriter(storage, KEY).state)
    first = LogWriter(storage, KEY).state.ends.get(TOPIC_ID.partition(partition), 0)
    records = [record(offset, event, received) for offset, event in enumerate(some, first)]
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
    proof = json.loads(command(tmp_path, "prove", "--record", "0@3"))
    assert rows[3]["record_sha256"] == proof["record_sha256"]
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
    assert offsets("--experiment", "one") == [0, 3]
    assert offsets("--run", more.run_id) == [1]
    assert offsets("--actor", "nobody") == []
    assert offsets("--from", "2025-06-15T15:06:41Z", "--to", "2025-06-15T15:06:43Z") == [1, 2]
    assert "--out" in command(tmp_path, "export", "--format", "parquet", code=2)
    assert "--from" in command(tmp_path, "export", "--from", "rain", code=2)


def test_what_is_about_an_experiment(storage: LocalFolder, tmp_path: Path) -> None:
    mine, other, foreign = (Producer(tenant=tenant, experiment=name) for tenant, name in ABOUT)
    ours = identity.experiment_id("acme", "mine")
    erasing = events.AdminAction("audit.erase", "asked for", f"run {mine.run_id}", listed(RUNS, [mine.run_id]))
    add(storage, [experiment_event("acme", events.ExperimentCreated(ours, "mine")), other.created(), foreign.created()])
    add(storage, [mine.created(), mine.log(Entry({"a": 1.0})), other.log(Entry({"a": 1.0})), mine.ended()])
    renamed = events.ExperimentUpdated(ours, name="new")
    add(storage, [mine.deleted(), other.deleted(), mine.restored(), experiment_event("acme", renamed)])
    add(storage, [experiment_event("acme", erasing), experiment_event("acme", events.ExperimentDeleted(ours))])

    def offsets(*arguments: str) -> list[int]:
        return [json.loads(line)["offset"] for line in command(tmp_path, "export", *arguments).splitlines()]

    of_acme = [0, 3, 4, 6, 7, 9, 10, 11, 12]
    assert offsets("--experiment", ours) == offsets("--experiment", "new") == of_acme
    assert offsets("--experiment", "mine") == sorted([2, *of_acme])
    assert offsets("--experiment", "mine", "--tenant", "acme") == of_acme
    assert offsets("--experiment", "mine", "--kind", "RunEnded") == [6]
    assert offsets("--experiment", ours, "--from", "2025-06-15T15:06:46Z", "--to", "2025-06-15T15:06:48Z") == [6, 7]
    assert offsets("--experiment", "nothing") == []
    assert offsets("--run", other.run_id) == [1, 5, 8]
    assert offsets("--run", other.run_id, "--experiment", "mine") == []
    assert offsets("--run", mine.run_id) == [3, 4, 6, 7, 9, 11]
    tailed = command(tmp_path, "tail", "--json", "-n", "2", "--experiment", "other").splitlines()
    assert [json.loads(line)["offset"] for line in tailed] == [5, 8]
    tailed = command(tmp_path, "tail", "--json", "-n", "1", "--run", other.run_id).splitlines()
    assert [json.loads(line)["offset"] for line in tailed] == [8]


def test_tail_follows(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    add(storage, [who.created(), who.log(Entry({"a": 1.0}))])
    add(storage, [Producer(tenant="acme", experiment="other").created()])
    assert len(command(tmp_path, "tail", "-n", "1").splitlines()) == 1
    arguments = ["audit", "tail", "--follow", "--json", "--experiment", who.experiment]
    with (tmp_path / "tail").open("wb") as out:
        following = subprocess.Popen(
            [sys.executable, "-m", "matih_console.main", *arguments],
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
