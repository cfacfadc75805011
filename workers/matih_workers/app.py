"""The Faust application: the one pattern that loses nothing (see docs/architecture.md), and nothing else of Faust."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import faust
from mode import CrashingSupervisor

from matih_workers.fair_polling import fair_consumer
from matih_workers.faust_types import App, Stream, partitions, received
from matih_workers.pace import rest_after

if TYPE_CHECKING:
    from pathlib import Path

    from faust.types import StreamT

    from matih_kafka.settings import KafkaSettings
    from matih_workers.ingest import Ingest
    from matih_workers.lanes import Lanes
    from matih_workers.records import Received
    from matih_workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

SESSION_TIMEOUT: Final = 6.0
"""Seconds after which a killed worker's partitions go to another: the least that brokers allow."""
HEARTBEAT_INTERVAL: Final = 1.2
COMMIT_INTERVAL: Final = 1.0
BUFFER_EVENTS: Final = 8
"""Events between the consumer and the lanes; few, for each may have a megabyte."""
_BUFFER_SECONDS: Final = 0.1
"""How long the stream may hold on to events that have come, if there are fewer."""
POLL_EVENTS: Final = 64
"""Events unpacked at once: a fetch of a megabyte may hold hundreds of megabytes, compressed."""
_DAY: Final = 24 * 60 * 60.0
"""Seconds; an outage of the store may last: Faust must not take a waiting agent for a dead one."""

OnPartitions = Callable[[frozenset[int] | None], None]


def build_app(
    settings: WorkerSettings,
    kafka: KafkaSettings,
    ingest: Ingest,
    lanes: Lanes,
    datadir: Path,
    on_partitions: OnPartitions,
) -> App:
    """A Faust application that carries the events topic into `ingest`. Start it with `in_worker = True`.

    Args:
        settings: the worker's.
        kafka: the connection's.
        ingest: what is done with the events.
        lanes: where they wait.
        datadir: where Faust may leave files.
        on_partitions: told the partitions that are this worker's from now on, each time they change; None while
            they are given out anew.

    Raises:
        matih_kafka.errors.InvalidSettings: a file with a certificate, key or password can't be read.
    """
    app = _faust(settings, kafka, datadir)
    app.transport.Consumer = fair_consumer(lanes)  # type: ignore[misc]
    topic = app.topic(
        kafka.events_topic,
        key_type=bytes,
        key_serializer="raw",
        value_type=bytes,
        value_serializer="raw",
        internal=True,
    )

    @app.agent(topic, name="ingest", concurrency=1)
    async def carry(stream: StreamT[bytes]) -> None:
        await carry_out(cast("Stream", stream), lanes, ingest)

    @app.on_partitions_assigned.connect(weak=False)
    async def assigned(_app: Any, assigned: Any, **_: Any) -> None:
        on_partitions(partitions(assigned, kafka.events_topic))

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(_app: Any, _revoked: Any, **_: Any) -> None:
        on_partitions(None)

    return cast("App", app)


def _faust(settings: WorkerSettings, kafka: KafkaSettings, datadir: Path) -> faust.App:
    """Faust with the settings under which nothing is acknowledged that is not done."""
    return faust.App(
        settings.worker_group,
        broker=_brokers(kafka),
        broker_credentials=_credentials(kafka),
        datadir=str(datadir),
        autodiscover=False,
        web_enabled=False,
        agent_supervisor=CrashingSupervisor,
        processing_guarantee="at_least_once",
        stream_wait_empty=False,
        stream_processing_timeout=_DAY,
        stream_buffer_maxsize=BUFFER_EVENTS,
        broker_max_poll_interval=_DAY,
        broker_max_poll_records=POLL_EVENTS,
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=HEARTBEAT_INTERVAL,
        broker_commit_interval=COMMIT_INTERVAL,
        broker_commit_livelock_soft_timeout=_DAY,
        topic_allow_declare=False,
        topic_disable_leader=True,
        worker_redirect_stdouts=False,
    )


async def carry_out(stream: Stream, lanes: Lanes, ingest: Ingest) -> None:
    """The agent: settles a part of what has come, acknowledges it, and looks what has come meanwhile; never returns.

    It never raises for an outage, for Faust would go on with later events then: `ingest` tries again.
    """
    arrived = asyncio.Event()
    taking = asyncio.create_task(_take(stream, lanes, arrived))
    taking.add_done_callback(lambda _: arrived.set())
    try:
        while not taking.done():
            arrived.clear()
            while part := lanes.part(ingest.points, ingest.events, ingest.alone):
                began = time.monotonic()
                settled = await ingest.settle(part)
                lanes.put_back(part[settled:])
                await _acknowledge(stream, part[:settled])
                if lanes.is_quiet:
                    await asyncio.sleep(rest_after(time.monotonic() - began))
            await arrived.wait()
        taking.result()
    finally:
        taking.cancel()


async def _take(stream: Stream, lanes: Lanes, arrived: asyncio.Event) -> None:
    """Lets in what comes, as it comes; how much that is the lanes have said when it was polled.

    `noack_take` is only what keeps the stream going without acknowledging: its batches would cost a wait.
    """

    async def enter(value: bytes | None) -> bytes | None:
        lanes.put(received(stream.current_event))
        arrived.set()
        return value

    stream.add_processor(enter)
    async for _ in stream.noack_take(BUFFER_EVENTS, _BUFFER_SECONDS):
        pass


async def _acknowledge(stream: Stream, part: list[Received]) -> None:
    for record in part:
        await stream.ack(record.event)


def _brokers(kafka: KafkaSettings) -> str:
    return ";".join(f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(","))


def _credentials(kafka: KafkaSettings) -> Any:
    """Faust's form of the client options; the TLS context always explicitly, for Faust would make another one."""
    options = kafka.client_options()
    context = options.get("ssl_context")
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None
