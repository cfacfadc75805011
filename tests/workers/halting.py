"""A worker whose flow stops, again and again, when records have just been taken, as it may in a rebalance.

Faust drops them then and seeks to the committed offsets. With FAILING_SEEKS, every second such seek fails.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from faust.transport.drivers.aiokafka import Consumer

from matih_kafka.settings import kafka_settings
from matih_workers.cli import log_to_stderr
from matih_workers.process import WorkerProcess
from matih_workers.settings import worker_settings

EVERY = 2
"""Every second poll that brings something is one whose records are dropped, and each partition's first."""


def halt() -> None:
    polls, seeks, seen = itertools.count(1), itertools.count(1), set[Any]()
    getmany, seek = Consumer._getmany, Consumer.seek_to_committed

    async def taken_and_stopped(self: Any, *args: Any, **kwargs: Any) -> Any:
        records = await getmany(self, *args, **kwargs)
        first = set(records) - seen
        seen.update(first)
        if records and self.flow_active and (next(polls) % EVERY == 0 or first):
            self.stop_flow()
            sys.stderr.write(f"dropped {sum(map(len, records.values()))}\n")
        return records

    async def sought_and_resumed(self: Any) -> Any:
        stopped = not self.flow_active and not self.app.rebalancing
        try:
            if stopped and "FAILING_SEEKS" in os.environ and next(seeks) % 2:
                raise KafkaTimeoutError("no answer")
            return await seek(self)
        finally:
            if stopped:
                self.resume_flow()

    Consumer._getmany = taken_and_stopped  # type: ignore[method-assign]
    Consumer.seek_to_committed = sought_and_resumed  # type: ignore[method-assign]


async def main() -> None:
    process = WorkerProcess(worker_settings(), kafka_settings())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, process.stop)
    await process.run()


if __name__ == "__main__":
    log_to_stderr()
    halt()
    asyncio.run(main())
