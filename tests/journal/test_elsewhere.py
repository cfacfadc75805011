"""Systems without what only Linux has: no Windows or macOS was tried, but what they lack is taken away here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .reading import read_all

LACKS = {
    "darwin": "posix_fallocate",
    "win32": "posix_fallocate pread pwrite uname geteuid getuid fork O_CLOEXEC",
}
SCRIPT = """
import os, sys, types
platform, lacks, spool = sys.argv[1], sys.argv[2].split(), sys.argv[3]
# The standard library as the real system has it; ours as it is there.
import hashlib, json, pathlib, socket, subprocess, tempfile, uuid
import matih_tracking
for name in [name for name in sys.modules if name.startswith("matih_tracking")]:
    del sys.modules[name]
for name in lacks:
    delattr(os, name)
if platform == "win32":
    os.O_BINARY = 0
    sys.modules["fcntl"] = None
    sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=lambda fd, mode, size: None)
sys.platform = platform

from matih_tracking import mounts
mounts._MOUNTINFO = pathlib.Path("/no/such/file")
from matih_tracking.journal.cursor import Cursor
from matih_tracking.journal.listing import delete_acked, journals, owner_state
from matih_tracking.journal.reader import JournalReader
from matih_tracking.journal.writer import JournalWriter

writer = JournalWriter.create(pathlib.Path(spool), "ab" * 16, first_segment_bytes=1, max_segment_bytes=1)
assert not writer.mapped
for number in range(1000):
    assert writer.append(b"%d:" % number * 20) == number
    if not number % 100:
        assert not writer.check().recreated
reader, cursor = JournalReader(writer.path), Cursor(writer.path)
while batch := reader.read():
    if not batch.payloads:
        break
    cursor.store(batch.after)
assert writer.acked() == 1000
assert delete_acked(writer.path, cursor.load()) > 0
writer.close()
assert journals(pathlib.Path(spool)) == [writer.path]
owner_state(writer.path)
print(writer.path)
"""


@pytest.mark.parametrize("platform", LACKS)
def test_a_journal_works_without_what_only_linux_has(platform, tmp_path):
    command = [sys.executable, "-c", SCRIPT, platform, LACKS[platform], str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    journal = Path(done.stdout.strip())
    assert read_all(journal).last.ended
    assert all(set(path.read_bytes()[-100:]) == {0} for path in journal.glob("*.seg")), "made without holes"
