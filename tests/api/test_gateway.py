"""`POST /api/v1/events`: what is taken, what is refused and why, and that nothing of a refused batch is published."""

from __future__ import annotations

import gzip
import json
import resource
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cramjam
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.gateway_app import Serving, app, tokens_in
from tests.waiting import until
from tests.workers.journals import Entry, Producer

from matih_api.admission import Admission
from matih_api.auth.principal import ANYBODY, Principal, Role
from matih_api.decompression import decompressed
from matih_api.gateway import Batch, checked, stamped
from matih_api.problems import Problem, too_many
from matih_kafka.memory import MemoryPublisher
from matih_schemas import codec
from matih_schemas.event_batch import BATCH_MAX_BYTES, CONTENT_TYPE, MalformedBatch, pack, unpack
from matih_schemas.events import AdminAction, TrackingEvent
from matih_schemas.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKENS = {
    "w-acme": ["ada", {"acme": "WRITER"}],
    "w-both": ["bob", {"acme": "WRITER", "red": "ADMIN", "blue": "READER"}],
    "r-acme": ["eve", {"acme": "READER"}],
}
CLIENT = httpx.Client(trust_env=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
ADA = Principal("ada", {"acme": Role.WRITER})
BOB = Principal("bob", {"acme": Role.WRITER, "red": Role.WRITER})


def events_of(*tenants: str, entries: int = 1) -> list[TrackingEvent]:
    found = []
    for tenant in tenants:
        who = Producer(tenant=tenant)
        found += [who.created(), *(who.log(Entry({"loss": float(step)}, step=step)) for step in range(entries))]
    return found


def accept(body: bytes, principal: Principal) -> Batch:
    return stamped(checked(body, principal), principal.actor)


def packed(events: list[TrackingEvent]) -> bytes:
    return pack(map(codec.encode, events))


class Bench:
    def __init__(self, folder: Path, admission: Admission | None = None) -> None:
        self.tokens = folder / "tokens.json"
        self.tokens.write_text(json.dumps(TOKENS))
        self.topic = MemoryPublisher()
        self.serving = Serving(app(lambda: self.topic, tokens_in(self.tokens), admission, patience=0.3))

    def post(self, body: bytes | Iterator[bytes], token: str = "w-acme", **headers: str) -> httpx.Response:
        return CLIENT.post(
            f"http://127.0.0.1:{self.serving.port}/api/v1/events",
            content=body,
            headers={"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {token}", **headers},
        )

    def published(self) -> list[TrackingEvent]:
        return [codec.decode(record.value) for record in self.records()]

    def records(self) -> list[Any]:
        return [record for partition in self.topic.partitions for record in partition]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with bench.serving:
        yield bench


def refused(bench: Bench, answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert bench.records() == []
    return answer.json()  # type: ignore[no-any-return]


@given(st.lists(st.binary(max_size=40)), st.integers(0, 60))
def test_what_is_packed_is_unpacked_and_a_cut_body_is_told(events: list[bytes], cut: int) -> None:
    body = pack(events)
    assert list(unpack(body)) == events
    ends = [len(pack(events[:count])) for count in range(len(events) + 1)]
    short = body[: len(body) - min(cut, len(body))]
    if len(short) in ends:
        assert list(unpack(short)) == events[: ends.index(len(short))]
    else:
        with pytest.raises(MalformedBatch) as raised:
            list(unpack(short))
        assert raised.value.index == sum(end <= len(short) for end in ends) - 1


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "zstd"])
def test_a_batch_is_published_whole_in_order_with_its_sender(bench: Bench, encoding: str) -> None:
    events = events_of("acme", entries=20)
    plain = packed([replace(event, actor="forged") for event in events])
    body = {"gzip": gzip.compress, "zstd": lambda data: bytes(cramjam.zstd.compress(data))}.get(encoding, bytes)(plain)
    answer = bench.post(body, **({"Content-Encoding": encoding} if encoding else {}))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 21})
    assert bench.published() == [replace(event, actor="ada") for event in events]
    for record, event in zip(bench.records(), events, strict=True):
        assert record.key == codec.event_key(event)
        assert record.headers == (*codec.headers(event), ("matih.tenant_checked", b"acme"))


def test_the_same_batch_again_is_the_same_records(bench: Bench) -> None:
    body = packed(events_of("acme"))
    assert [bench.post(body).status_code for _ in range(2)] == [200, 200]
    records = bench.records()
    assert records[:2] == records[2:]


def test_every_example_of_an_event_passes_unchanged_but_for_its_sender() -> None:
    events = examples()
    batch = accept(packed(events), ANYBODY)
    assert [codec.decode(record.value) for record in batch.records] == [
        replace(event, actor="anonymous") for event in events
    ]
    assert sum(volume.events for volume in batch.volumes.values()) == len(events)


def test_an_events_bytes_are_those_of_its_records_key_and_value() -> None:
    batch = accept(packed(events_of("acme")), ADA)
    assert batch.volumes["acme"].bytes == sum(len(record.key) + len(record.value) for record in batch.records)


def test_an_empty_batch_asks_whether_one_may_write(bench: Bench) -> None:
    assert bench.post(b"").json() == {"accepted": 0}
    assert "role writer" in refused(bench, bench.post(b"", "r-acme"), 403)["detail"]
    refused(bench, bench.post(b"", "unknown"), 401)


def test_a_foreign_tenant_is_refused_with_the_events_place_and_what_to_set(bench: Bench) -> None:
    body = packed(events_of("acme", "default", "acme", entries=0))
    told = refused(bench, bench.post(body), 403)
    assert told["errors"][0]["loc"] == ["body", "events", 1]
    assert "'default'" in told["detail"]
    assert "set MATIH_TENANT=acme" in told["detail"]
    told = refused(bench, bench.post(body, "w-both"), 403)
    assert "one of acme, red" in told["detail"]
    told = refused(bench, bench.post(packed(events_of("blue")), "w-both"), 403)
    assert "'blue'" in told["detail"]
    assert bench.post(packed(events_of("acme", "red")), "w-both").status_code == 200


def test_actions_of_administrators_need_the_role_admin() -> None:
    action = [
        TrackingEvent("00000000-0000-4000-8000-000000000000", "acme", 1, AdminAction("erase", "asked for", "run 1"))
    ]
    with pytest.raises(Problem) as raised:
        accept(packed(action), ADA)
    assert raised.value.status == 403
    assert "role admin" in raised.value.detail
    assert len(accept(packed(action), Principal("root", {"acme": Role.ADMIN})).records) == 1


NEWER = codec.SINGLE_OBJECT + b"\x01" * 8 + b"anything"
BROKEN = {
    "garbage": b"garbage",
    "nothing": b"",
    "cut": codec.encode(events_of("acme")[0])[:-3],
    "more behind it": codec.encode(events_of("acme")[0]) + b"\0",
    "another framing": b"\0\0\0\0\1abc",
    "a newer schema": NEWER,
}


@pytest.mark.parametrize("what", BROKEN)
def test_one_malformed_event_refuses_the_batch_and_is_named(bench: Bench, what: str) -> None:
    good = [codec.encode(event) for event in events_of("acme")]
    told = refused(bench, bench.post(pack([*good, BROKEN[what], *good])), 422)
    assert [error["loc"] for error in told["errors"]] == [["body", "events", 2]]
    assert ("newer_schema" in told["detail"]) == (what == "a newer schema")


def test_a_cut_body_and_a_million_empty_events_are_told_in_few_lines(bench: Bench) -> None:
    body = packed(events_of("acme"))
    told = refused(bench, bench.post(body[:-1]), 422)
    assert told["errors"][0]["loc"] == ["body", "events", 1]
    assert len(refused(bench, bench.post(bytes(BATCH_MAX_BYTES)), 422)["errors"]) == 20


def test_what_is_too_large_is_413(bench: Bench) -> None:
    refused(bench, bench.post(bytes(BATCH_MAX_BYTES + 1)), 413)
    refused(bench, bench.post(iter([bytes(1 << 20), b"0"])), 413)
    told = refused(bench, bench.post(pack([codec.encode(events_of("acme")[0]), bytes(900_001)])), 413)
    assert told["errors"][0]["loc"] == ["body", "events", 1]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_413_and_costs_its_bound(bench: Bench, encoding: str) -> None:
    plain = bytes(64 << 20)
    bomb = bytes(cramjam.zstd.compress(plain)) if encoding == "zstd" else gzip.compress(plain, 1)
    del plain
    assert len(bomb) < 300_000
    refused(bench, bench.post(bomb, **{"Content-Encoding": encoding}), 413)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Problem, match="more than 1048576 bytes"):
        decompressed(bomb, encoding, BATCH_MAX_BYTES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Encoding": "gzip, gzip"}, 415),
        ({"Content-Encoding": "gzip"}, 400),
        ({"Content-Encoding": "zstd"}, 400),
    ],
)
def test_another_type_or_encoding(bench: Bench, headers: dict[str, str], status: int) -> None:
    refused(bench, bench.post(packed(events_of("acme")), **headers), status)


def test_cut_compressed_bodies_are_refused(bench: Bench) -> None:
    plain = packed(events_of("acme", entries=30))
    for encoding, body in {"gzip": gzip.compress(plain), "zstd": bytes(cramjam.zstd.compress(plain))}.items():
        refused(bench, bench.post(body[:-6], **{"Content-Encoding": encoding}), 400)
        if encoding == "gzip":
            refused(bench, bench.post(body + b"more", **{"Content-Encoding": encoding}), 400)


def test_without_kafka_it_is_503_at_once_and_then_goes_on(bench: Bench) -> None:
    body = packed(events_of("acme"))
    bench.topic.up = False
    answer = bench.post(body)
    refused(bench, answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    bench.topic.up = True
    until(lambda: bench.post(body).status_code == 200, "the gateway takes events again")
    assert bench.published()[:2] == [codec.decode(value) for value in unpack(_stamped(body, "ada"))]


def _stamped(body: bytes, actor: str) -> bytes:
    return packed([replace(codec.decode(value), actor=actor) for value in unpack(body)])


def test_quotas_are_asked_per_tenant_and_a_full_house_is_429(tmp_path: Path) -> None:
    asked = []

    def admit(tenant: str, events: int, size: int) -> None:
        asked.append((tenant, events, size))
        if tenant == "red":
            raise too_many("events-per-second", "tenant red has used up its events per second", 7)

    admission = Admission(admit, max_bytes=2000)
    bench = Bench(tmp_path, admission)
    with bench.serving:
        acme, red = events_of("acme", entries=3), events_of("red")
        answer = bench.post(packed([*acme, *red]), "w-both")
        told = refused(bench, answer, 429)
        assert (told["quota"], answer.headers["retry-after"]) == ("events-per-second", "7")
        sizes = [sum(len(record) for record in accept(packed(events), BOB).records) for events in (acme, red)]
        assert asked == [("acme", 4, sizes[0]), ("red", 2, sizes[1])]
        with admission.room(1900):
            answer = bench.post(packed(acme))
            assert refused(bench, answer, 429)["quota"] == "bytes-in-flight"
            assert "retry-after" in answer.headers
            bomb = bytes(cramjam.zstd.compress(bytes(1000)))
            refused(bench, bench.post(bomb, **{"Content-Encoding": "zstd"}), 429)
        assert bench.post(packed(acme)).status_code == 200
        assert admission._bytes == 0


def test_only_one_framing_and_its_length() -> None:
    event = codec.encode(events_of("acme")[0])
    assert pack([event]) == struct.pack(">I", len(event)) + event
