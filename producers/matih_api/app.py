"""The FastAPI application: `create` for a server, `build` for whoever brings their own parts."""

from __future__ import annotations

import asyncio
import gc
import re
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI

from matih_api.admission import Admission
from matih_api.auth.opening import is_open, make_authenticator
from matih_api.auth.settings import auth_settings
from matih_api.comparison.importance import warm_up
from matih_api.document import completed
from matih_api.errors import add_handlers
from matih_api.events import Numbers
from matih_api.guard.fairness import Fairness
from matih_api.guard.limits import BodyRule
from matih_api.guard.metrics import Metrics
from matih_api.guard.quotas import Quotas
from matih_api.guard.settings import QuotaSettings, limit_settings, quota_settings
from matih_api.guard.stack import guarded
from matih_api.identify import Identify
from matih_api.objects import Objects
from matih_api.pending.pendings import Pendings
from matih_api.pending.reframed import ReframedFollower
from matih_api.publishing import EventPublisher
from matih_api.reads import Reads
from matih_api.routes import events as gateway
from matih_api.routes import experiments, health, ml, runs
from matih_api.routes.answers import PROBLEMS
from matih_api.services import Services
from matih_api.settings import ApiSettings, api_settings
from matih_api.writes import Writes
from matih_kafka.following import TopicFollowing
from matih_kafka.framing import environment_ids, framer
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.settings import KafkaSettings, kafka_settings
from matih_kafka.tasks import end
from matih_schemas.event_batch import BATCH_MAX_BYTES, CONTENT_TYPE, PATH
from matih_schemas.topics import catalogue
from matih_tracking.reading.opening import open_reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matih_api.auth.principal import Authenticator
    from matih_api.guard.asgi import App

EVENT_BATCHES = BodyRule(re.compile(re.escape(PATH)), frozenset({CONTENT_TYPE}), BATCH_MAX_BYTES)
GRACE_SECONDS = 1.0
"""So much longer than a read takes is an event kept that is in MLflow."""
GC_ALLOCATIONS = 20_000
"""Objects after which Python's collector looks at the youngest ones; 700 by default, which is a few requests."""


def create() -> App:
    """The application as the environment says, with all that stands before it.

    Raises:
        InvalidSettings: a setting is wrong.
    """
    settings, limits, metrics, auth = api_settings(), limit_settings(), Metrics(), auth_settings()
    app = build(settings, kafka_settings(), make_authenticator(auth), quota_settings(), metrics)
    hosts = auth.allowed_hosts if is_open(auth) else None
    return guarded(app, limits, metrics, settings.max_body_bytes, (EVENT_BATCHES,), hosts)


def build(
    settings: ApiSettings,
    kafka: KafkaSettings,
    authenticator: Authenticator,
    quotas: QuotaSettings | None = None,
    metrics: Metrics | None = None,
) -> FastAPI:
    """The application without limits; nothing is connected before it starts."""
    counted, allowed = metrics or Metrics(), quotas or QuotaSettings()
    counter = Quotas(allowed, settings.processes, refused=counted.refused)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warm_up()
        async with services_of(settings, kafka, counter, counted) as services:
            app.state.services = services
            _settle_heap()
            yield
        counter.close()

    app = FastAPI(
        title="MATIH experiment tracking",
        version=version("matih-tracking"),
        description="Experiments and runs. A write is an event, durable before it is answered; reads match the writes.",
        lifespan=lifespan,
        responses=PROBLEMS,
        docs_url="/docs",
        redoc_url=None,
    )
    for router in (runs.router, experiments.router, ml.router, gateway.router, health.router):
        app.include_router(router)
    add_handlers(app)
    completed(app.openapi())
    reads, writes = (Fairness(allowed, counted.refused) for _ in range(2))
    app.add_middleware(
        Identify, authenticator=authenticator, quotas=counter, reads=reads, writes=writes, tenant=settings.tenant
    )
    return app


def _settle_heap() -> None:
    """What is loaded by now stays: the collector need not walk it for every few hundred requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)


@asynccontextmanager
async def services_of(
    settings: ApiSettings, kafka: KafkaSettings, quotas: Quotas, metrics: Metrics
) -> AsyncIterator[Services]:
    """Everything that requests need, connected for the time of the block as far as it can be."""
    topic = catalogue(kafka.events_topic, kafka.events_partitions)[0]
    pendings = Pendings(settings.pending_bytes, settings.read_timeout + GRACE_SECONDS)
    follower = ReframedFollower(pendings, environment_ids())
    following = TopicFollowing(kafka, topic, settings.worker_group, follower, settings.idempotency_window)
    events = EventPublisher(KafkaPublisher(kafka, topic, client_id="matih-api"), settings.kafka_timeout, framer(kafka))
    reads = Reads(open_reader(settings.tracking_uri, settings.read_timeout))
    objects = Objects(reads, following, pendings)
    task = asyncio.create_task(following.run())
    await asyncio.gather(events.start(), following.connected(settings.kafka_timeout))
    try:
        writes, admission = Writes(events, objects, quotas, metrics, topic.name), Admission(quotas.events)
        yield Services(settings, events, objects, writes, Numbers(), metrics, admission, topic.name)
    finally:
        await end([task])
        await events.close()
        reads.close()
