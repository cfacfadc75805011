"""Journals written and read by real processes: killed at any moment, read while they're written, on a full disk."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import until

from matih_tracking.journal.listing import owner_state
from matih_tracking.journal.ownership import State

from .reading import read_all

CHILDREN = str(Path(__file__).with_name("children.py"))


def start(*arguments, prefix=(), **options):
    command = [*prefix, sys.executable, CHILDREN, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, **options)


@pytest.mark.parametrize("seed", range(10))
def test_every_entry_that_got_its_number_survives_kill_9(tmp_path, journal_mode, seed):
    moment = random.Random(seed)
    threads = 1 + seed % 3
    process = start("append_for_ever", tmp_path, journal_mode, threads)
    journal = Path(process.stdout.readline().decode().strip())
    told = process.stdout.read(moment.randrange(1, 400_000))
    process.kill()
    told += process.stdout.read()
    process.wait()
    process.stdout.close()

    until(lambda: owner_state(journal) is State.FREE, "the lock of a killed writer is free")
    found = read_all(journal, owner_gone=True)
    assert found.error is None
    assert found.last.ended
    texts = [payload.rstrip(b".") for payload in found.payloads]
    numbered = [line.split(b" ") for line in told.split(b"\n")[:-1]]
    assert len(numbered) > 0
    assert [texts[int(number)] for number, _ in numbered] == [text for _, text in numbered]
    # Each thread was killed in one call at most: so much may be written without having been told.
    assert len(texts) - len(numbered) <= threads
    for thread in range(threads):
        mine = [text for text in texts if text.startswith(b"%d:" % thread)]
        assert mine == [b"%d:%d" % (thread, nth) for nth in range(len(mine))]


def test_a_reader_beside_the_writer_sees_exactly_what_is_written(tmp_path, journal_mode):
    count = 60_000
    writer = start("append", tmp_path, journal_mode, count)
    journal = writer.stdout.readline().decode().strip()
    readers = [start("tail", journal, count) for _ in range(2)]
    assert [reader.communicate(timeout=120)[0].split() for reader in readers] == [[b"%d" % count, b"True"]] * 2
    writer.communicate(timeout=60)
    assert writer.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="name spaces are Linux's")
def test_on_a_full_disk_the_end_of_the_run_still_fits(tmp_path, journal_mode):
    process = start("fill_up_on_a_small_disk", tmp_path, journal_mode, prefix=("unshare", "-Urm"))
    assert process.communicate(timeout=60)[0].split() == [b"disk", b"True", b"True", b"True"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX's")
@pytest.mark.parametrize(("limit", "answer"), [(100_000, b"True"), (10_000, b"quota")])
def test_a_limit_on_file_sizes_makes_segments_smaller(tmp_path, journal_mode, limit, answer):
    process = start("append_to_small_files", tmp_path, journal_mode, limit)
    assert process.communicate(timeout=60)[0].split() == [answer]
    assert process.returncode == 0
    assert max((path.stat().st_size for path in tmp_path.rglob("*.seg")), default=0) <= limit


def test_a_killed_writers_torn_entry_is_told_of(tmp_path, journal_mode):
    process = start("append_for_ever", tmp_path, journal_mode, 1)
    journal = Path(process.stdout.readline().decode().strip())
    process.stdout.read(1000)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    whole = read_all(journal, owner_gone=True)
    last = journal / f"{whole.last.after.segment:020d}.seg"
    content = bytearray(last.read_bytes())
    content[whole.last.after.offset - 5] ^= 1
    last.write_bytes(content)
    torn = read_all(journal, owner_gone=True)
    assert torn.payloads == whole.payloads[:-1]
    assert torn.last.ended
    assert torn.last.lost_bytes == 12 + len(whole.payloads[-1])
