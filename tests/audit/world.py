"""A topic, its archive, and the archiver as a process of its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import urllib.request
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

from tests.child import Child
from tests.waiting import until

from matih_console.main import main
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.publisher import Record
from matih_kafka.reading import topic_reader
from matih_kafka.settings import KafkaSettings
from matih_schemas.topics import catalogue
from matih_workers.audit import notes
from matih_workers.audit.consuming import archived
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.workers.pipe import Pipe

    from matih_schemas.topics import Topic
    from matih_workers.audit.record import ArchivedRecord


class World(Child):
    """One test's topic and archive. `close` ends the archiver."""

    def __init__(self, brokers: str, topic: str, folder: Path) -> None:
        self.brokers, self.topic, self.folder = brokers, topic, folder
        folder.mkdir(exist_ok=True)
        self.archive = folder / "archive"
        self.storage = LocalFolder(self.archive)
        self.key = notes.new_key("test/audit")
        (folder / "key").write_text(self.key.secret())
        self.settings = KafkaSettings(bootstrap_servers=brokers, MATIH_EVENTS_TOPIC=topic)
        self.events, self.letters = catalogue(topic)
        self._starts = 0

    def environment(self, **settings: str) -> dict[str, str]:
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.brokers,
            "MATIH_EVENTS_TOPIC": self.topic,
            "MATIH_AUDIT_ARCHIVE": str(self.archive),
            "MATIH_AUDIT_KEY_FILE": str(self.folder / "key"),
            "MATIH_AUDIT_PORT": "0",
            "MATIH_AUDIT_BATCH_SECONDS": "0.1",
            "MATIH_AUDIT_GROUP": f"audit-{self.topic}",
            **settings,
        }

    def command(self, *arguments: str, code: int = 0, **settings: str) -> Any:
        """The report of one command; all but the archiver run in this process."""
        if arguments[0] == "archive":
            words = [sys.executable, "-m", "matih_console.main", "audit", *arguments]
            done = subprocess.run(words, env=self.environment(**settings), capture_output=True, text=True, check=False)
            result, out, errors = done.returncode, done.stdout, done.stderr
        else:
            os.environ.update(self.environment(**settings))
            with redirect_stdout(io.StringIO()) as said, redirect_stderr(io.StringIO()) as told:
                result = main(["audit", *arguments])
            out, errors = said.getvalue(), told.getvalue()
        assert result == code, (result, out, errors)
        return json.loads(out) if "--json" in arguments and out else out + errors

    def start(self, **settings: str) -> None:
        self._starts += 1
        with (self.folder / f"archiver-{self._starts}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "matih_console.main", "audit", "archive"],
                env=self.environment(**settings),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def log(self) -> str:
        return (self.folder / f"archiver-{self._starts}.log").read_text(encoding="utf-8")

    def metric(self, name: str) -> float:
        """One of the archiver's figures; NaN while its pages do not answer."""
        url = next((word for word in self.log().split() if word.endswith("/metrics")), None)
        try:
            with urllib.request.urlopen(url or "http://127.0.0.1:1", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return float("nan")
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def publish(self, records: Sequence[Record]) -> None:
        asyncio.run(self._publish(records, self.events))

    def publish_letters(self, records: Sequence[Record]) -> None:
        """To the topic of dead letters."""
        asyncio.run(self._publish(records, self.letters))

    async def _publish(self, records: Sequence[Record], topic: Topic) -> None:
        publisher = KafkaPublisher(self.settings, topic)
        await publisher.connect()
        await asyncio.gather(*[publisher.send(record) for record in records])
        await publisher.close()

    def on_topic(self, topic: str | None = None) -> dict[int, list[ArchivedRecord]]:
        """Every record that stands on the topic of events, or on that one, by partition."""
        return asyncio.run(self._on_topic(topic or self.topic))

    async def _on_topic(self, topic: str) -> dict[int, list[ArchivedRecord]]:
        found: dict[int, list[ArchivedRecord]] = {}
        async with topic_reader(self.settings) as reader:
            async for record in reader.scan(topic):
                found.setdefault(record.partition, []).append(archived(record))
        return found

    def in_archive(self, topic: str | None = None) -> dict[int, list[ArchivedRecord]]:
        """Every record of the topic of events, or of that one, that the archive counts, by partition."""
        reader = ArchiveReader(self.storage)
        ends = dict(sorted(reader.ends().items()))
        of_topic = [where for where in ends if reader.topics()[where[:2]] == (topic or self.topic)]
        found = {where.partition: list(reader.records(*where, 0, ends[where])) for where in of_topic}
        return {number: records for number, records in found.items() if records}

    def archived_until(self, records: int, seconds: float = 60.0) -> None:
        """Waits until so many offsets are archived."""
        until(lambda: self._ends() >= records, f"{records} records archived", seconds)

    def _ends(self) -> int:
        return sum(ArchiveReader(self.storage).ends().values())


def archive_of(pipe: Pipe) -> Path:
    """The folder of an archive of everything that was published."""
    world = World(pipe.brokers, pipe.topic, pipe.folder / "audit")
    world.start()
    try:
        world.archived_until(pipe.published)
        assert world.end() == 0
    finally:
        world.close()
    return world.archive


def some_records(first: int, count: int, runs: int = 40, size: int = 100) -> list[Record]:
    """Records of several runs, all different; some without a value."""
    return [
        Record(
            b"default/%032x" % (number % runs),
            b"value %d " % number * (size // 10),
            (("ce_id", b"%d" % number), ("empty", b"")),
        )
        for number in range(first, first + count)
    ]
