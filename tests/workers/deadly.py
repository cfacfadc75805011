"""A worker whose store is in memory, and dies of an event with the tag `deadly`: for the tests' own use."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from matih_kafka.settings import kafka_settings
from matih_workers.changes import RunChange
from matih_workers.cli import log_to_stderr
from matih_workers.process import WorkerProcess
from matih_workers.settings import worker_settings
from matih_workers.stores.memory import MemoryStore
from matih_workers.stores.protocol import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_workers.changes import Change
    from matih_workers.positions import Spans
    from matih_workers.stores.protocol import Refusals


class DeadlyStore(MemoryStore):
    def apply(self, changes: Sequence[Change], spans: Spans = NOWHERE) -> Refusals:
        for change in changes:
            if isinstance(change, RunChange):
                keys = {tag.key: tag.value for logged in change.logged for tag in logged.tags}
                if "deadly" in keys:
                    os._exit(9)
                if "bad" in keys:
                    raise TypeError(f"this event is {keys['bad']}")
        return super().apply(changes, spans)


async def main() -> None:
    process = WorkerProcess(worker_settings(), kafka_settings(), DeadlyStore())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, process.stop)
    await process.run()


if __name__ == "__main__":
    log_to_stderr()
    asyncio.run(main())
