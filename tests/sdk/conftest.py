"""A spool of each test's own, and scripts that run in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from matih_tracking.shipper import state

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The base of a spool that only this test uses; nothing is delivered."""
    base = tmp_path / "spool"
    monkeypatch.setenv("MATIH_SPOOL_DIR", str(base))
    monkeypatch.setenv("MATIH_MODE", "offline")
    monkeypatch.setenv("MATIH_QUIET", "1")
    return base


class Scripts:
    """Starts Python scripts that use the SDK."""

    def __init__(self, folder: Path, spool: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "MATIH_SPOOL_DIR": str(spool), "MATIH_MODE": "offline"}
        self.environment.pop("MATIH_QUIET", None)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, code: str, **variables: str) -> subprocess.Popen[str]:
        script = self.folder / f"script{len(self.started)}.py"
        script.write_text(code)
        process = subprocess.Popen(
            [sys.executable, str(script)],
            env={**self.environment, **variables},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end."""
        process = self.start(code, **variables)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def scripts(tmp_path: Path, spool: Path):
    """Scripts with the test's spool; nothing they start outlives the test."""
    scripts = Scripts(tmp_path, spool)
    yield scripts
    scripts.close()
    for found in spool.rglob(state.STATE_FILE):
        shipper = state.read(found.parent)
        if shipper is not None:
            with suppress(ProcessLookupError):
                os.kill(shipper.pid, 9)
