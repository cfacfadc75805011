"""The archive: how fast the archiver catches up with a full topic, and how fast what it has made is verified.

The archiver is a process of its own; its speed is told by the wall's clock and by the seconds of a core that it took,
for the broker works on the same machine. Values are half random, half the same, as floats in columns are.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from matih_kafka.admin import create_topics
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.publisher import Record
from matih_kafka.settings import KafkaSettings
from matih_local.downloads import fetch
from matih_local.system import LocalSystem
from matih_schemas.topics import catalogue
from matih_workers.audit import notes
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.storage import LocalFolder
from matih_workers.audit.verification import Verification
from matih_workers.cli import settle_interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (500, 1_000, 4_000)
BYTES = 120_000_000
RUNS = 200
TOGETHER = 2_000
CATCH_UP_BAR, VERIFY_BAR = 50, 100
HEADERS = (("ce_id", bytes(32)), ("ce_type", b"RunLogged"), ("matih.tenant", b"default"), ("ce_source", bytes(20)))


class Speeds(NamedTuple):
    """In MB/s."""

    catch_up: float
    of_a_core: float
    verify: float


def records(size: int, count: int) -> Iterator[list[Record]]:
    """Some at a time."""
    noise, same = os.urandom(4 * size), bytes(range(256)) * (size // 256 + 1)
    for first in range(0, count, TOGETHER):
        some = range(first, min(first + TOGETHER, count))
        yield [
            Record(b"default/%032x" % (n % RUNS), noise[n % size : n % size + size // 2] + same[: size // 2], HEADERS)
            for n in some
        ]


async def fill(settings: KafkaSettings, size: int, count: int) -> None:
    topics = catalogue(settings.events_topic)
    await create_topics(settings, topics)
    publisher = KafkaPublisher(settings, topics[0])
    await publisher.connect()
    for some in records(size, count):
        await asyncio.gather(*[publisher.send(record) for record in some])
    await publisher.close()


def caught_up(settings: KafkaSettings, archive: Path, key: Path, count: int) -> tuple[float, float]:
    """Seconds from the first batch until all is archived, and those of a core; of what came after the first."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "MATIH_EVENTS_TOPIC": settings.events_topic,
        "MATIH_AUDIT_ARCHIVE": str(archive),
        "MATIH_AUDIT_KEY_FILE": str(key),
        "MATIH_AUDIT_PORT": "0",
        "MATIH_AUDIT_BATCH_SECONDS": "0.2",
    }
    command = [sys.executable, "-m", "matih_console.main", "audit", "archive"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    watched = psutil.Process(process.pid)
    try:
        first = _wait(archive, 1)
        began, cpu = time.monotonic(), sum(watched.cpu_times()[:2])
        _wait(archive, count)
        share = (count - first) / count
        return (time.monotonic() - began) / share, (sum(watched.cpu_times()[:2]) - cpu) / share
    finally:
        process.terminate()
        process.wait()


def _wait(archive: Path, count: int) -> int:
    while (done := sum(ArchiveReader(LocalFolder(archive)).ends().values())) < count:
        time.sleep(0.05)
    return done


def measured(brokers: str, folder: Path, size: int) -> Speeds:
    """One size's speeds, by the bytes that are archived."""
    count = BYTES // size
    settings = KafkaSettings(bootstrap_servers=brokers, MATIH_EVENTS_TOPIC=f"archive.{secrets.token_hex(4)}.events.v1")
    asyncio.run(fill(settings, size, count))
    key, archive = notes.new_key("benchmark"), folder / f"archive-{size}"
    (folder / "key").write_text(key.secret())
    wall, core = caught_up(settings, archive, folder / "key", count)
    began = time.process_time()
    report = Verification(LocalFolder(archive), [key.public]).run()
    assert report.whole
    assert report.records == count
    return Speeds(*(report.bytes / 1e6 / seconds for seconds in (wall, core, time.process_time() - began)))


def main() -> None:
    """Prints what was measured, on a broker of its own; sizes given as words replace the usual ones."""
    fetch()
    settle_interpreter()  # as `matih audit verify` does
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    print(f"MB/s: bars {CATCH_UP_BAR} of a core for catching up, {VERIFY_BAR} for verifying")
    print(f"{'value':>8} {'catch up':>10} {'of a core':>10} {'verify':>10}", flush=True)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start("kafka")
        for size in sizes:
            speeds = measured(system.kafka.url, Path(home), size)
            print(f"{size:>6} B {speeds.catch_up:>10.0f} {speeds.of_a_core:>10.0f} {speeds.verify:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
