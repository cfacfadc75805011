"""`matih local` as a shell runs it, and a look at processes from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path


class Matih:
    """`matih local` with a MATIH_HOME, as a shell runs it."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self._environment = {**os.environ, "MATIH_HOME": str(home), **environment}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "matih_console.main", "local", *words]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=200)

    def report(self, *words: str) -> dict:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def parts(self) -> dict[str, dict]:
        return {part["name"]: part for part in self.report("status")["parts"]}


def alive(pid: int) -> bool:
    """A zombie is dead: only its parent has not looked yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
