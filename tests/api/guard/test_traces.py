"""A request's traceparent reaches its events, with and without OpenTelemetry; the worker's batch is linked to it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.api.guard.apps import call, served

from matih_kafka import tracing
from matih_kafka.tracing import parent_of, traceparent_of, valid_traceparent
from matih_workers import traces
from matih_workers.records import Received

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda _service: provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def published(**headers: str) -> dict[str, dict[str, str]]:
    answer = call(served(), "POST", "/api/publish", headers=headers)
    assert answer.status_code == 200
    return answer.json()  # type: ignore[no-any-return]


def test_without_the_extra_the_traceparent_is_passed_on() -> None:
    assert published(traceparent=GIVEN) == {"outside": {"traceparent": GIVEN}, "inside": {"traceparent": GIVEN}}
    assert published() == {"outside": {}, "inside": {}}
    assert published(traceparent="00-bad") == {"outside": {}, "inside": {}}


def test_spans_from_request_to_publish(spans: InMemorySpanExporter) -> None:
    found = published(traceparent=GIVEN)
    publish, request = spans.get_finished_spans()
    assert (request.name, request.kind) == ("POST /api/publish", SpanKind.SERVER)
    assert (publish.name, publish.kind) == ("publish events", SpanKind.PRODUCER)
    assert request.parent is not None
    assert (f"{request.parent.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, SPAN)
    assert publish.parent is not None
    assert publish.parent.span_id == request.context.span_id
    assert found == {
        "outside": {"traceparent": f"00-{TRACE}-{request.context.span_id:016x}-01"},
        "inside": {"traceparent": f"00-{TRACE}-{publish.context.span_id:016x}-01"},
    }
    assert dict(request.attributes or {})["http.route"] == "/api/publish"
    assert dict(request.attributes or {})["http.response.status_code"] == 200


def test_a_request_without_a_trace_begins_one_of_its_own(spans: InMemorySpanExporter) -> None:
    published()
    with tracing.tracer("test").start_as_current_span("what the task was made in"):  # type: ignore[union-attr]
        published()
    requests = [span for span in spans.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert [span.parent for span in requests] == [None, None]
    assert len({span.context.trace_id for span in requests}) == 2


def test_errors_are_errors(spans: InMemorySpanExporter) -> None:
    call(served(), "GET", "/api/broken")
    call(served(), "GET", "/api/missing")
    assert [span.status.status_code for span in spans.get_finished_spans()] == [StatusCode.ERROR, StatusCode.UNSET]


def record(offset: int, *headers: tuple[str, bytes]) -> Received:
    return Received("events", 0, offset, b"acme/r", b"x", headers)


def test_a_workers_batch_is_linked_to_its_events_requests(spans: InMemorySpanExporter) -> None:
    header = ("traceparent", GIVEN.encode())
    other = ("traceparent", GIVEN.replace("b7", "c8").encode())
    with traces.batch(
        [record(0, header), record(1, header), record(2), record(3, ("traceparent", b"\xff")), record(4, other)]
    ):
        pass
    (batch,) = spans.get_finished_spans()
    assert batch.kind is SpanKind.CONSUMER
    assert [f"{link.context.span_id:016x}" for link in batch.links] == [SPAN, SPAN.replace("b7", "c8")]
    assert dict(batch.attributes or {})["messaging.batch.message_count"] == 5


def test_a_workers_batch_without_traces_is_nothing() -> None:
    with traces.batch([record(0)]) as span:
        assert span is None


@given(st.text(max_size=60) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True))
def test_whatever_is_taken_has_a_parent(value: str) -> None:
    if valid_traceparent(value):
        assert parent_of(value).is_valid
        assert traceparent_of([("x", b""), ("traceparent", value.encode())]) == value


@pytest.mark.parametrize(
    "value",
    ["", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", GIVEN.upper(), GIVEN + "\n"],
)
def test_what_is_no_traceparent(value: str) -> None:
    assert valid_traceparent(value) is None


def python(code: str, **environment: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


LOADED = "import sys; print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))"


def test_nothing_of_it_is_imported_unless_it_is_asked_for() -> None:
    code = "from matih_kafka import tracing; import matih_api.guard.stack, matih_workers.traces\n"
    code += f"assert tracing.tracer('x') is None\n{LOADED}"
    assert python(code) == "[]\n"
    assert python(code, OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") == "[]\n"


def test_spans_are_written_where_the_environment_says() -> None:
    code = "from matih_kafka import tracing\nwith tracing.tracer('matih-api').start_as_current_span('hello'): pass"
    out = python(code, OTEL_TRACES_EXPORTER="console")
    assert '"name": "hello"' in out
    assert '"service.name": "matih-api"' in out


def test_without_the_libraries_it_is_told_and_goes_on() -> None:
    block = "import sys; sys.modules['opentelemetry'] = None\n"
    code = f"{block}from matih_kafka import tracing; assert tracing.tracer('x') is None; tracing.tracer('x')"
    out: Any = python(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert out.count("pip install 'matih-tracking[otel]'") == 1
