"""The event gateway is counted, traced and logged as every other write."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from tests.api.gateway_app import app, tokens_in
from tests.workers.journals import Producer

from matih_api.admission import Admission
from matih_api.app import EVENT_BATCHES
from matih_api.guard.logs import access
from matih_api.guard.metrics import Metrics
from matih_api.guard.settings import LimitSettings
from matih_api.guard.stack import guarded
from matih_api.problems import too_many
from matih_kafka import tracing
from matih_kafka.memory import MemoryPublisher
from matih_schemas import codec
from matih_schemas.event_batch import CONTENT_TYPE, PATH, pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = f"00-{TRACE}-b7ad6b7169203331-01"


def body_of(*tenants: str) -> bytes:
    return pack(codec.encode(Producer(tenant=tenant).created()) for tenant in tenants)


class Gateway:
    """The gateway behind the guard, on a topic in memory."""

    def __init__(self, folder: Path, admission: Admission | None = None) -> None:
        tokens = folder / "tokens.json"
        grants = {"t": ["ada", {"acme": "WRITER"}], "u": ["bob", {"acme": "WRITER", "red": "WRITER"}]}
        tokens.write_text(json.dumps(grants))
        self.topic, self.metrics = MemoryPublisher(), Metrics()
        self.app = app(lambda: self.topic, tokens_in(tokens), admission, 0.2, self.metrics)

    def post(self, body: bytes, token: str = "t", *, up: bool = True, **headers: str) -> httpx.Response:
        sent = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {token}", **headers}
        found = guarded(self.app, LimitSettings(), self.metrics, 4096, (EVENT_BATCHES,))

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=found)  # type: ignore[arg-type]
            async with (
                self.app.router.lifespan_context(self.app),
                httpx.AsyncClient(transport=transport, base_url="http://api") as client,
            ):
                self.topic.up = up
                return await client.post(PATH, content=body, headers=sent)

        return asyncio.run(ask())

    def records(self) -> list[Any]:
        return [record for partition in self.topic.partitions for record in partition]

    def counted(self) -> dict[tuple[str, ...], float]:
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.metrics.text().decode())
            for sample in family.samples
            if "_bucket" not in sample.name
        }


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: found.append(record.fields))
    level = access.level
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    yield found
    access.setLevel(level)
    access.removeHandler(handler)


def test_events_bytes_and_requests_are_counted_by_tenant(gateway: Gateway) -> None:
    assert gateway.post(body_of("acme", "acme")).status_code == 200
    counted = gateway.counted()
    assert counted["matih_api_tenant_events_total", "acme"] == 2
    assert counted["matih_api_tenant_bytes_total", "acme"] == sum(map(len, gateway.records()))
    assert counted["matih_api_tenant_requests_total", "acme"] == 1
    assert counted["matih_api_publish_seconds_count",] == 1
    assert gateway.post(body_of("acme", "red"), "u").status_code == 200
    counted = gateway.counted()
    assert (counted["matih_api_tenant_events_total", "acme"], counted["matih_api_tenant_events_total", "red"]) == (3, 1)


def test_an_outage_of_kafka_is_a_failure_and_nothing_counts_as_published(gateway: Gateway) -> None:
    assert gateway.post(body_of("acme"), up=False).status_code == 503
    counted = gateway.counted()
    assert counted["matih_api_publish_failures_total",] == 1
    assert counted["matih_api_problems_total", "event-log-unavailable"] == 1  # the alert's
    assert ("matih_api_tenant_events_total", "acme") not in counted
    assert counted["matih_api_publish_seconds_count",] == 0


def test_what_is_refused_is_no_failure_of_kafka(tmp_path: Path) -> None:
    def admit(tenant: str, events: int, size: int) -> None:
        raise too_many("events_per_second", "too many", 1)

    gateway = Gateway(tmp_path, Admission(admit))
    assert gateway.post(body_of("acme")).status_code == 429
    assert gateway.post(body_of("red")).status_code == 403
    counted = gateway.counted()
    assert counted["matih_api_publish_failures_total",] == 0
    assert not {key for key in counted if key[0] == "matih_api_tenant_events_total"}


def test_a_line_of_the_log_has_tenant_and_actor(gateway: Gateway, lines: list[dict[str, Any]]) -> None:
    gateway.post(body_of("acme"))
    gateway.post(b"")
    gateway.post(body_of("red"))  # refused
    gateway.post(body_of("red"), "u")
    gateway.post(body_of("acme", "red"), "u")
    gateway.post(b"", "u")
    told = [(line["tenant"], line["actor"]) for line in lines]
    assert told == [("acme", "ada")] * 3 + [("red", "bob"), (None, "bob"), (None, "bob")]


def test_without_the_extra_the_traceparent_reaches_the_records(gateway: Gateway) -> None:
    gateway.post(body_of("acme"), traceparent=GIVEN)
    gateway.post(body_of("acme"))
    traced = [tracing.traceparent_of(record.headers) for record in gateway.records()]
    assert sorted(traced, key=str) == [GIVEN, None]


def test_the_span_of_the_publication_is_the_records(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda _service: provider.get_tracer("test"))
    gateway.post(body_of("acme", "acme"), traceparent=GIVEN)
    publish, request = exporter.get_finished_spans()
    assert (publish.name, request.name) == ("publish events", f"POST {PATH}")
    assert dict(publish.attributes or {})["messaging.batch.message_count"] == 2
    assert dict(request.attributes or {})["matih.tenant"] == "acme"
    wanted = f"00-{TRACE}-{publish.context.span_id:016x}-01"
    assert [tracing.traceparent_of(record.headers) for record in gateway.records()] == [wanted] * 2
