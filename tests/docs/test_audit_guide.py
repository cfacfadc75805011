"""The guide's commands are run as they stand there, on an archive of real events."""

from __future__ import annotations

import io
import os
import re
import shlex
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
COMMANDS = [line for line in BLOCKS.splitlines() if line.startswith("matih audit")]
# Those that never end, or need Kafka: tests/audit runs them.
NOT_HERE = ("matih audit archive  ", "matih audit tail --follow")


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run in an archive with a key, and its checkpoints in an anchor, as the guide has them."""
    monkeypatch.chdir(tmp_path)
    who, storage = Producer(tenant="acme"), LocalFolder(tmp_path / "archive")
    for step in range(300):
        who.log(Entry({"loss": 1.0}, step=step))
    add(storage, [who.created(), *(who.logged(number, 1) for number in range(1, 301)), who.ended()], 3)
    for size, signed in Log(storage).history().items():
        Anchor("anchor").put(size, signed)
        (tmp_path / "anchor" / "00000000000000001200").write_bytes(signed)
    (tmp_path / "audit.pub").write_text(str(KEY.public))
    (tmp_path / "signing.key").write_text(KEY.secret())
    os.environ |= {"MATIH_AUDIT_ARCHIVE": "archive", "MATIH_AUDIT_KEY_FILE": "signing.key"}
    del os.environ["KAFKA_BOOTSTRAP_SERVERS"]  # tests/audit and tests/workers look at the events
    return who.run_id


def test_each_command_works(run_id: str) -> None:
    ran = 0
    for line in COMMANDS:
        if line.startswith(NOT_HERE):
            continue
        line = line.replace("RUN_ID", run_id).replace("example.com/team/audit+...", str(KEY.public))
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            code = main(shlex.split(line, comments=True)[1:])
        assert code == 0, (line, out.getvalue(), errors.getvalue())
        ran += 1
    assert ran >= 13


def test_the_columns_are_those_of_an_export() -> None:
    rows = re.findall(r"^\| ([\w, ]+) \|", GUIDE.partition("| column |")[2].partition("\n## ")[0], re.MULTILINE)
    assert [name for row in rows for name in row.split(", ")] == sorted(
        COLUMNS, key=lambda name: [part for row in rows for part in row.split(", ")].index(name)
    )
    assert {name for row in rows for name in row.split(", ")} == set(COLUMNS)
