"""Child processes that end with their parent, however it ends, each in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import psutil

from matih_local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_LOG_MAX_BYTES: Final = 20_000_000


@dataclass(frozen=True)
class Command:
    """What to run.

    Attributes:
        arguments: the program's absolute path first.
        environment: all of it; nothing else is inherited.
        folder: the working directory.
        log: stdout and stderr are appended to it.
        user: (uid, gid) to run as, if not ours.
        named: the program wants the user to have a name.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    user: tuple[int, int] | None = None
    named: bool = False


class Child:
    """A running command. Never waits: the owner polls."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process's id, also its process group's."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """As `subprocess` says it (negative: the signal's number), or None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process group; nothing happens if it is gone."""
        if self.exit_code() is None:
            os.killpg(self.pid, number)

    def kill(self) -> int:
        """SIGKILL to the process and all below it, in whatever group, and to what is left of its group.

        Returns:
            The exit code, once all are gone.
        """
        family = descendants(self.pid) if self.exit_code() is None else []
        for process in family:
            kill(process)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        wait_until_gone(family[1:])
        return self._process.wait()


def spawn(command: Command) -> Child:
    """Starts a command that the kernel kills when this process ends.

    Raises:
        LocalError: not called in the main thread. The kernel's signal comes when the thread that started it ends.
    """
    if threading.current_thread() is not threading.main_thread():
        raise LocalError("start the system's parts in the main thread: a part ends with the thread that started it")
    user = "-" if command.user is None else "{}:{}".format(*command.user)
    named = "named" if command.named else "-"
    with open_log(command.log) as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), user, named, *command.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(command.environment),
            cwd=command.folder,
            start_new_session=True,
            umask=0o077,
        )
    return Child(process)


def wait_until_gone(processes: list[psutil.Process], timeout: float = 10.0) -> None:
    """Waits for killed processes, in seconds; one that only its parent has yet to take note of counts as gone.

    Raises:
        LocalError: one is still there.
    """
    deadline = time.monotonic() + timeout
    while any(_is_alive(process) for process in processes):
        if time.monotonic() > deadline:
            raise LocalError(f"processes {[process.pid for process in processes]} don't end: they hang in the kernel")
        time.sleep(0.01)


def descendants(pid: int) -> list[psutil.Process]:
    """The process and all below it; empty if it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would change a server behind our back, and with `more`."""
    foreign = ("KAFKA_", "MATIH_", "MLFLOW_", "_MLFLOW", "PG", "FAUST_", "SCHEMA_REGISTRY_", "APICURIO_", "QUARKUS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **more}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(process: psutil.Process) -> None:
    """SIGKILL to one process, if it is still there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def open_log(path: Path) -> BinaryIO:
    """A log to append to, closed to other users; one that has grown long is put aside first."""
    if path.exists() and path.stat().st_size > _LOG_MAX_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    path.touch(mode=0o600)
    return path.open("ab")
