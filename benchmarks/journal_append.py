"""The journal alone: one entry of 108 bytes (a frame of 120), beside a bare os.write of 120 bytes; and reading back."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from benchmarks.measure import WAYS, compared, print_table

from matih_tracking.journal.reader import JournalReader
from matih_tracking.journal.writer import JournalWriter

PAYLOAD = os.urandom(108)
ENTRIES = 500_000


def appends(folder: Path) -> None:
    """Prints a table for each way that calls follow one another."""
    mapped = JournalWriter.create(folder / "mapped", "a" * 32, journal="mmap")
    written = JournalWriter.create(folder / "written", "a" * 32, journal="write")
    fd = os.open(folder / "beside", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    line = b"x" * 120
    calls = {
        "journal, mapped": lambda _: mapped.append(PAYLOAD),
        "journal, written": lambda _: written.append(PAYLOAD),
        "os.write, 120 bytes": lambda _: os.write(fd, line),
    }
    for way in WAYS:
        print_table(f"{way.name}, us", compared(way, calls), "os.write, 120 bytes")
    mapped.close()
    written.close()
    os.close(fd)


def check(folder: Path) -> None:
    """Prints what the housekeeping of a second costs."""
    writer = JournalWriter.create(folder / "checked", "a" * 32)
    for _ in range(ENTRIES):
        writer.append(PAYLOAD)
    start = time.perf_counter()
    for _ in range(1000):
        writer.check()
    print(f"check: {(time.perf_counter() - start) * 1000:.0f} us")
    start = time.perf_counter()
    for _ in range(10_000):
        writer.acked()
    print(f"acked: {(time.perf_counter() - start) * 100:.1f} us")
    read(writer)


def read(writer: JournalWriter) -> None:
    """Prints the rate at which a reader hands out entries, and what a look at an idle journal costs."""
    reader, found = JournalReader(writer.path), 0
    start = time.perf_counter()
    while batch := reader.read().payloads:
        found += len(batch)
    seconds = time.perf_counter() - start
    assert found == writer.count
    print(f"reading: {found / seconds / 1e6:.2f} M entries/s")
    start = time.perf_counter()
    for _ in range(10_000):
        reader.read()
    print(f"a look at an idle journal: {(time.perf_counter() - start) * 100:.1f} us")
    reader.close()
    writer.close()


def main() -> None:
    """Runs all of it, on a disk."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        appends(Path(folder))
        check(Path(folder))


if __name__ == "__main__":
    main()
