"""The guide's commands are run as they stand there, on an archive of real events."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from tests.audit.test_events import add
from tests.audit.test_recovery import KEY
from tests.workers.journals import Entry, Producer

from matih_console.main import main
from matih_workers.audit.anchor import Anchor
from matih_workers.audit.exporting import COLUMNS
from matih_workers.audit.log import Log
from matih_workers.audit.storage import LocalFolder

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "audit.md").read_text()
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL))
COMMANDS = [line for line in BLOCKS.splitlines() if line.startswith(("matih audit", "grep "))]
# Those that never end, or need Kafka: tests/audit runs them.
NOT_HERE = ("matih audit archive  ", "matih audit tail --follow")
FIRST = 1200
"""Entries of the checkpoint that the guide has: a topic's name, and records."""


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run in an archive with a key, and its checkpoints in an anchor, as the guide has them."""
    monkeypatch.chdir(tmp_path)
    who, storage = Producer(tenant="acme"), LocalFolder(tmp_path / "archive")
    for step in range(FIRST - 2):
        who.log(Entry({"loss": 1.0}, step=step))
    add(storage, [who.created(), *(who.logged(number, 1) for number in range(1, FIRST - 1))], 3)
    add(storage, [who.ended()], 3)
    for size, signed in Log(storage).history().items():
        Anchor("anchor").put(size, signed)
    (tmp_path / "audit.pub").write_text(str(KEY.public))
    (tmp_path / "signing.key").write_text(KEY.secret())
    os.environ |= {"MATIH_AUDIT_ARCHIVE": "archive", "MATIH_AUDIT_KEY_FILE": "signing.key"}
    del os.environ["KAFKA_BOOTSTRAP_SERVERS"]  # tests/audit and tests/workers look at the events
    return who.run_id


def run(line: str) -> tuple[int, str, str]:
    """One line, as a shell would, but in this process."""
    words, out, errors = shlex.split(line, comments=True), io.StringIO(), io.StringIO()
    if words[0] != "matih":
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr
    words, into = (words[1:-2], words[-1]) if words[-2] == ">" else (words[1:], None)
    with redirect_stdout(out), redirect_stderr(errors):
        code = main(words)
    if into:
        Path(into).write_text(out.getvalue())
    return code, out.getvalue(), errors.getvalue()


def test_each_command_works(run_id: str) -> None:
    ran = 0
    for line in COMMANDS:
        if line.startswith(NOT_HERE):
            continue
        line = line.replace("RUN_ID", run_id).replace("example.com/team/audit+...", str(KEY.public))
        code, out, errors = run(line)
        assert code == 0, (line, out, errors)
        ran += 1
    assert ran >= 20


def test_the_columns_are_those_of_an_export() -> None:
    rows = re.findall(r"^\| ([\w, ]+) \|", GUIDE.partition("| column |")[2].partition("\n## ")[0], re.MULTILINE)
    assert [name for row in rows for name in row.split(", ")] == sorted(
        COLUMNS, key=lambda name: [part for row in rows for part in row.split(", ")].index(name)
    )
    assert {name for row in rows for name in row.split(", ")} == set(COLUMNS)
