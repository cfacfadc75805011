"""Hosts as the tests need them: each with trainers, a shipper and a spool of its own, all on one topic."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.loop.pipe import Pipe
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from matih_local.system import LocalSystem


class Host(Pipe):
    """One host's processes, frozen, killed and woken together. `close` ends them."""

    def __init__(self, system: LocalSystem, topic: str, folder: Path) -> None:
        folder.mkdir()
        super().__init__(system, folder)
        self._topic = topic

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(MATIH_EVENTS_TOPIC=self._topic, **more)

    def freeze(self) -> None:
        """Stops everything at one moment: no process sees another's end."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def kill(self) -> None:
        """kill -9 of everything at one moment, as when the power goes."""
        self.freeze()
        for pid in self._pids():
            os.kill(pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()

    def kill_shipper(self) -> None:
        """kill -9 of the shipper."""
        pid = until(self.shipper_pid, "a shipper to kill")
        os.kill(pid, signal.SIGKILL)
        for process in self.processes.values():
            if process.pid == pid:
                process.wait()

    def wake(self) -> None:
        """All that is frozen goes on."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def finish(self) -> None:
        """The trainers end their runs as they would at their last call."""
        for name, tail in self.tails.items():
            tail.path.with_suffix(".enough").touch()
            assert self.processes[name].wait(60) == 0, name

    def _pids(self) -> list[int]:
        """The shipper's first: it must not outlive a trainer."""
        shipper = self.shipper_pid()
        living = {process.pid for process in self.processes.values() if process.poll() is None}
        return [*([shipper] if shipper else []), *(living - {shipper})]
