"""One child process of a test's world, and how it ends."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


class Child:
    """Holds a process while it runs; `close` ends it whatever happened."""

    process: subprocess.Popen[bytes] | None = None

    def end(self, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Sends the process a signal and waits for its end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        self.process = None
        return code

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
