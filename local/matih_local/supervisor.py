"""The detached process that runs a MATIH_HOME: `python -m matih_local.supervisor MATIH_HOME`.

It owns all parts, starts those that end by themselves again, and writes down what happens. Its parts end with it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matih_local.children import clean_environment, open_log
from matih_local.errors import HomeInUse, LocalError
from matih_local.home import Home
from matih_local.runner import SUPERVISED, State
from matih_local.state import write_state
from matih_local.system import TICK_SECONDS, LocalSystem

if TYPE_CHECKING:
    from matih_local.state import PartState

_BUSY: Final = (State.STARTING, State.STOPPING)
_IDLE_SECONDS: Final = 0.25
IN_USE: Final = 3
"""Exit code: another process runs this MATIH_HOME."""

_log = logging.getLogger(__name__)


def detach(home: Home) -> subprocess.Popen[bytes]:
    """Starts a supervisor that lives on when this process and its terminal are gone."""
    with open_log(home.log("supervisor")) as log:
        return subprocess.Popen(
            [sys.executable, "-m", "matih_local.supervisor", str(home.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.path,
            env=clean_environment(MATIH_CACHE_DIR=str(home.cache)),
            start_new_session=True,
            umask=0o077,
        )


class Supervisor:
    """Runs all parts of a home until it is told to stop."""

    def __init__(self, home: Home) -> None:
        self._system = LocalSystem(home, restarts=SUPERVISED)
        self._told: tuple[PartState, ...] = ()
        self._stopping = False

    def run(self) -> None:
        """Returns after SIGTERM or SIGINT, when all parts have stopped.

        Raises:
            HomeInUse: another process runs this MATIH_HOME.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._system.want(*self._system.names, kind="supervisor")
        while not self._stopping:
            self._system.tick()
            self._tell()
            busy = any(part.state in _BUSY for part in self._told)
            time.sleep(TICK_SECONDS if busy else _IDLE_SECONDS)
        _log.info("stopping")
        self._system.stop(tell=self._tell)
        _log.info("stopped")

    def _on_signal(self, *_: object) -> None:
        self._stopping = True

    def _tell(self) -> None:
        """Writes the state and a line in the log for every part that has changed since."""
        parts = self._system.states()
        if parts == self._told:
            return
        write_state(self._system.home.path, parts)
        for part in set(parts) - set(self._told):
            _log.info("%s: %s%s", part.name, part.state.value, f" ({part.problem})" if part.problem else "")
        self._told = parts


def main(path: str) -> int:
    """Runs the supervisor of a MATIH_HOME; returns its exit code."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    _log.info("supervisor %d of %s", os.getpid(), path)
    try:
        Supervisor(Home.open(Path(path))).run()
    except HomeInUse as error:
        _log.info("%s", error)
        return IN_USE
    except LocalError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
