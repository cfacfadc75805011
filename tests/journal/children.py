"""What the tests run in processes of their own: `python children.py NAME ARGUMENTS`."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from matih_tracking.journal.reader import JournalReader
from matih_tracking.journal.writer import JournalWriter

RUN_ID = "0123456789abcdef" * 2


def append_for_ever(spool: str, mode: str, threads: str) -> None:
    """Appends entries `thread:nth`, and tells of each on stdout once it has its number: `number thread:nth`."""
    writer = JournalWriter.create(Path(spool), RUN_ID, journal=mode, first_segment_bytes=1)
    print(writer.path, flush=True)

    def run(thread: int) -> None:
        nth = 0
        while True:
            text = f"{thread}:{nth}"
            number = writer.append(text.ljust(20 + nth % 90, ".").encode())
            os.write(1, f"{number} {text}\n".encode())
            nth += 1

    others = [threading.Thread(target=run, args=(thread,), daemon=True) for thread in range(1, int(threads))]
    for other in others:
        other.start()
    run(0)


def append(spool: str, mode: str, count: str) -> None:
    """Appends so many entries as fast as it can, and closes the journal."""
    writer = JournalWriter.create(Path(spool), RUN_ID, journal=mode, first_segment_bytes=1)
    print(writer.path, flush=True)
    for number in range(int(count)):
        writer.append(b"%d:" % number * (1 + number % 40))
    writer.close()


def tail(journal: str, count: str) -> None:
    """Reads so many entries while they're written; prints their number, and whether each was the right one."""
    reader = JournalReader(Path(journal))
    seen = 0
    right = True
    while seen < int(count):
        for payload in reader.read(50_000).payloads:
            right &= payload == b"%d:" % seen * (1 + seen % 40)
            seen += 1
    print(seen, right, flush=True)


def fill_up(spool: str, mode: str) -> None:
    """Appends until the disk is full, then the reserved end; prints the reason and what was written."""
    from matih_tracking.journal.errors import JournalFull

    writer = JournalWriter.create(Path(spool), RUN_ID, journal=mode)
    written = 0
    try:
        while True:
            writer.append(b"%d:" % written * 30)
            written += 1
    except JournalFull as error:
        reason = error.reason
    number = writer.append_reserved(b"the end" * 500)
    reader = JournalReader(writer.path)
    found = []
    while batch := reader.read():
        if not batch.payloads:
            break
        found += batch.payloads
    whole = found == [b"%d:" % nth * 30 for nth in range(written)] + [b"the end" * 500]
    print(reason, number == written, whole, written > 100, flush=True)


def fill_up_on_a_small_disk(folder: str, mode: str) -> None:
    """The same on a file system of 1 MB, which only this process sees."""
    import subprocess

    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    fill_up(f"{folder}/spool", mode)


def append_to_small_files(spool: str, mode: str, limit: str) -> None:
    """Appends 2 MB where no file may be larger than `limit` bytes; prints whether that worked, or the reason."""
    import resource

    from matih_tracking.journal.errors import JournalFull

    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    try:
        writer = JournalWriter.create(Path(spool), RUN_ID, journal=mode)
    except JournalFull as error:
        print(error.reason, flush=True)
        return
    print([writer.append(b"x" * 200) for _ in range(10_000)] == list(range(10_000)), flush=True)


def append_then_fork(spool: str) -> None:
    """Appends, forks a child that doesn't know of it, prints journal and child, and waits to be killed."""
    import signal

    writer = JournalWriter.create(Path(spool), RUN_ID)
    writer.append(b"entry")
    child = os.fork()
    if child:
        print(writer.path, child, flush=True)
    else:
        os.close(1)
    signal.pause()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
