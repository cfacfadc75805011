"""Floods of poison on real servers: the good events of other runs are applied all the same, every letter is kept."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.workers.journals import Entry, Producer
from tests.workers.pipe import Pipe, reason
from tests.workers.views import SqlBench

from matih_kafka.publisher import Record
from matih_schemas import codec

if TYPE_CHECKING:
    from pathlib import Path

    from matih_schemas.events import TrackingEvent


def record(event: TrackingEvent) -> Record:
    return Record(codec.event_key(event), codec.encode(event), tuple(codec.headers(event)))


@pytest.mark.parametrize("flood", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_a_flood_in_a_row(kafka: str, events_topic: str, postgres_uri: str, tmp_path: Path, flood: int) -> None:
    pipe = Pipe(kafka, events_topic, postgres_uri, tmp_path)
    experiment = f"flood-{secrets.token_hex(4)}"
    good = [Producer(tenant="acme", experiment=experiment) for _ in range(5)]
    stranger = Producer(tenant="acme", experiment=experiment)
    refused = record(stranger.log(Entry({"a": 1.0})))
    garbage = [Record(b"acme/%s" % good[n % 5].run_id.encode(), b"garbage %d" % n) for n in range(flood)]
    pipe.publish_records([record(who.created()) for who in good])
    pipe.publish_records(garbage)
    pipe.publish_records([refused] * (flood // 10))
    pipe.publish_records([record(event) for who in good for event in (who.log(Entry({"a": 1.0})), who.ended())])
    pipe.start()
    try:
        report = pipe.settled(240)
        assert report["dead_letters"] == {"malformed": flood, "unknown_run": flood // 10}
        assert report["dead_letter_share"] > 0.5
        assert any("dead letters" in warning for warning in report["warnings"])
        assert (pipe.page("/readyz") or {})["ready"] is True
        letters = pipe.dead_letters()
        assert Counter(map(reason, letters)) == {"malformed": flood, "unknown_run": flood // 10}
        assert {letter.value for letter in letters} == {one.value for one in (*garbage, refused)}
    finally:
        pipe.close()
    bench = SqlBench(postgres_uri)
    for who in good:
        seen = bench.view(who.run_id)
        assert seen is not None
        assert (seen.status, len(seen.points)) == ("FINISHED", 1)
