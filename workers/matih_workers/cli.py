"""`matih worker`."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from typing import Annotated, Final

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_kafka.errors import InvalidSettings
from matih_kafka.settings import KafkaSettings, kafka_settings
from matih_schemas.errors import InvalidName, MatihError
from matih_workers.settings import WorkerSettings, worker_settings

LAST_SECONDS: Final = 1.0
"""Seconds after the end for threads that hang in a request; what they do was not acknowledged and comes again."""
GARBAGE_THRESHOLD: Final = 100_000
"""Objects made and not gone before Python looks for garbage in cycles; its default is 700 to 2000."""
SWITCH_SECONDS: Final = 0.0005
"""Seconds of a thread's turn while another one waits; Python's default is 0.005."""
_QUIET: Final = (
    *("faust", "mode", "aiokafka", "kafka", "asyncio"),
    *("alembic", "mlflow", "psycopg", "sqlalchemy", "urllib3"),
)


def worker(
    port: Annotated[int | None, typer.Option(help="Port of the worker's pages (MATIH_WORKER_PORT); 0: any.")] = None,
) -> None:
    """Carries the events from Kafka into MLflow, until it is told to stop (SIGTERM, Ctrl-C)."""
    log_to_stderr()
    try:
        settings = worker_settings()
        kafka = kafka_settings()
        if port is not None:
            settings = settings.model_copy(update={"worker_port": port})
        asyncio.run(_run(settings, kafka))
    except (InvalidSettings, InvalidName) as error:
        raise WrongUse(str(error)) from error
    except MatihError as error:
        raise CommandFailed(str(error)) from error


def log_to_stderr() -> None:
    """One line per event of the worker's own; the libraries' warnings only."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(message)s", force=True
    )
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


def settle_interpreter() -> None:
    """Makes Python's own settings those of a process that applies batches."""
    # A batch is thousands of tuples that all end with it: looking for cycles among them took a fifth of the time.
    gc.set_threshold(GARBAGE_THRESHOLD)
    # The store's thread wakes up after each answer of the database, and would wait for the event loop's turn to end.
    sys.setswitchinterval(SWITCH_SECONDS)


async def _run(settings: WorkerSettings, kafka: KafkaSettings) -> None:
    from matih_workers.process import WorkerProcess

    settle_interpreter()
    process = WorkerProcess(settings, kafka)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    code = 1
    try:
        await process.run()
        code = 0
    finally:
        _end_within(LAST_SECONDS, code)


def _end_within(seconds: float, code: int) -> None:
    """Ends the process with this code if it has not ended by itself by then."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
