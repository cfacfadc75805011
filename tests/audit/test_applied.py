"""Whether an archived event was applied: what the store's positions tell, and nothing else."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.test_events import add, command
from tests.audit.test_recovery import TOPIC_ID
from tests.workers.journals import Entry, Producer

from matih_local import mlflow_schema
from matih_workers.audit.applied import taken
from matih_workers.audit.storage import LocalFolder
from matih_workers.operations import operations
from matih_workers.positions import Source, Span, Spans, advanced
from matih_workers.settings import WorkerSettings, make_store

if TYPE_CHECKING:
    from pathlib import Path

SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=6)


@given(SPANS, SPANS)
def test_it_is_what_was_applied(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    """Whatever was applied in whatever order, also of a topic that was made anew since."""
    position, done = None, {"old": set[int](), "new": set[int]()}
    for topic_id, spans in (("old", first), ("new", second)):
        for at, length in spans:
            position = advanced(position, Source("c", topic_id, "t"), Span(0, at, at + length))
            done[topic_id] |= set(range(at, at + length + 1))
    if position is None:
        return
    for offset in range(20):
        for topic_id, applied in done.items():
            known = topic_id in (position.topic_id, position.anew)
            assert taken(position, topic_id, offset) == ((offset in applied) if known else None)
        assert taken(position, "another", offset) is None


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    """A run of four events in an archive."""
    who = Producer(tenant="acme")
    events = [who.created(), who.log(Entry({"a": 1.0})), who.log(Entry({"a": 2.0}, step=1)), who.ended()]
    add(LocalFolder(tmp_path / "archive"), events, 3)
    return who.run_id


def shown(tmp_path: Path, run_id: str) -> tuple[list[bool | None], str]:
    report = json.loads(command(tmp_path, "show", run_id, "--json"))
    return [step["applied"] for step in report["events"]], report["applied"]


def test_without_a_store_nobody_says(tmp_path: Path, run_id: str) -> None:
    applied, why = shown(tmp_path, run_id)
    assert (applied, "MATIH_STORE_URI" in why) == ([None] * 4, True)
    assert "applied -" in command(tmp_path, "show", run_id)


def test_a_store_says_what_it_has(tmp_path: Path, run_id: str) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    os.environ["MATIH_STORE_URI"] = uri
    assert shown(tmp_path, run_id)[0] == [None] * 4
    store = make_store(WorkerSettings(store_uri=uri))
    store.open()
    producer = Producer(tenant="acme")
    for first, last, at_ms in ((0, 0, 1_000_000), (2, 2, 3_000_000)):
        source = Source(TOPIC_ID.cluster_id, TOPIC_ID.topic_id, TOPIC_ID.name)
        change = operations(producer.created())
        assert change is not None
        store.apply([change], Spans(source, (Span(3, first, last),), at_ms))
    store.close()
    applied, why = shown(tmp_path, run_id)
    assert applied == [True, False, True, False]
    steps = json.loads(command(tmp_path, "show", run_id, "--json"))["events"]
    windows = [(step["applied_after"], step["applied_by"]) for step in steps]
    assert windows == [(None, 1_000_000), (None, None), (1_000_000, 3_000_000), (None, None)]
    told = " ".join(command(tmp_path, "show", run_id).split())
    assert "applied by 1970-01-01" in told
    assert ", after 1970-01-01" in told
    assert ("applied no" in told, why in told) == (True, True)


def test_a_store_that_does_not_answer_is_told(tmp_path: Path, run_id: str) -> None:
    os.environ["MATIH_STORE_URI"] = "postgresql://127.0.0.1:1/mlflow"
    applied, why = shown(tmp_path, run_id)
    assert (applied, "does not say" in why) == ([None] * 4, True)
