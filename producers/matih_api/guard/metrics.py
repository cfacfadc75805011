"""What the API counts, in Prometheus' form; of all its processes together where `share_metrics` was called."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from matih_api.guard.asgi import ERROR_KIND, TENANT, route_template, state
from matih_api.guard.multiprocess import VARIABLE, forget_the_dead
from matih_api.problems import Problem
from matih_schemas.tenant_labels import TenantLabels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_api.guard.asgi import App, Message, Receive, Scope, Send

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ANSWER: Final = "0"


class Metrics:
    """The API's counters. A registry of its own, so that two apps fit into one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._tenants = TenantLabels()
        self._requests = self._counter(
            "matih_api_requests",
            "Requests answered; status 0: nobody was there any more",
            "method",
            "route",
            "status",
        )
        self._seconds = self._histogram(
            "matih_api_request_seconds", "Seconds from a request's headers to the end of its answer", "method", "route"
        )
        self._in_flight = Gauge(
            "matih_api_in_flight_requests",
            "Requests being answered now",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._problems = self._counter("matih_api_problems", "Answers that are problems, by their kind", "kind")
        self._refusals = self._counter("matih_api_quota_refusals", "Requests refused for a quota", "quota", "tenant")
        self._tenant_requests = self._counter("matih_api_tenant_requests", "Requests answered, by tenant", "tenant")
        self._tenant_events = self._counter("matih_api_tenant_events", "Events published, by tenant", "tenant")
        self._tenant_bytes = self._counter("matih_api_tenant_bytes", "Bytes of events published, by tenant", "tenant")
        self._publish_seconds = self._histogram(
            "matih_api_publish_seconds", "Seconds until Kafka had acknowledged what a request wrote"
        )
        self._publish_failures = self._counter("matih_api_publish_failures", "Writes that Kafka did not acknowledge")
        if VARIABLE not in os.environ:
            ProcessCollector(registry=self._registry)

    def refused(self, quota: str, tenant: str) -> None:
        """A request was refused for a quota: what `Quotas` and `Fairness` tell."""
        self._refusals.labels(quota, self._tenants.label(tenant)).inc()

    def published(self, tenant: str, events: int, size: int) -> None:
        """Events of so many bytes in all are durable."""
        label = self._tenants.label(tenant)
        self._tenant_events.labels(label).inc(events)
        self._tenant_bytes.labels(label).inc(size)

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Measures a publication, or counts its failure; what is refused for its own sake is neither."""
        began = time.perf_counter()
        try:
            yield
        except Exception as error:
            if not isinstance(error, Problem) or error.status >= 500:
                self._publish_failures.inc()
            raise
        self._publish_seconds.observe(time.perf_counter() - began)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Counts a request as being answered."""
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()

    def answered(self, scope: Scope, status: str, seconds: float) -> None:
        """A request is over."""
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        route, known = route_template(scope), state(scope)
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)
        if known.get(TENANT):
            self._tenant_requests.labels(self._tenants.label(known[TENANT])).inc()
        if ERROR_KIND in known:
            self._problems.labels(known[ERROR_KIND]).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        folder = os.environ.get(VARIABLE)
        if folder is None:
            return generate_latest(self._registry)
        forget_the_dead(Path(folder))
        together = CollectorRegistry()
        MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    async def page(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """`/metrics`, as an ASGI app."""
        body = self.text() if scope["type"] == "http" else b""
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self._registry)

    def _histogram(self, name: str, meaning: str, *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, registry=self._registry, buckets=_SECONDS)


class Measured:
    """The middleware that counts each request."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), NO_ANSWER

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            with self._metrics.in_flight():
                await self._app(scope, receive, sent)
        finally:
            self._metrics.answered(scope, status, time.perf_counter() - began)
