"""What `matih local` does: brings a system up in the background, and down again."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import psutil

from matih_local import downloads
from matih_local.errors import HomeInUse, LocalError, PartFailed
from matih_local.lock import Holder, holder
from matih_local.state import SystemState, raise_for_failed, read_state
from matih_local.supervisor import IN_USE, detach

if TYPE_CHECKING:
    import subprocess

    from matih_local.home import Home

_LOOK_SECONDS: Final = 0.1
Tell = Callable[[SystemState], None]


def up(home: Home, tell: Tell, timeout: float = 180.0, *, schema_registry: bool = False) -> SystemState:
    """Starts the system if it does not run, and waits until all of it does.

    Args:
        home: the MATIH_HOME.
        tell: called with each new state while waiting.
        timeout: in seconds.
        schema_registry: with a schema registry, from now on.

    Raises:
        JarsMissing: Kafka's jars, or the registry's, can't be had.
        LocalError: it runs, and without the registry that is wanted.
        HomeInUse: a demo or test runs this MATIH_HOME in its foreground.
        PartFailed: a part does not start. What this call started is stopped again.
    """
    if holder(home.path) is not None:
        if schema_registry and not home.has_schema_registry:
            raise LocalError("it runs without a schema registry: `matih local down` first, then this again")
        return _wait_until_up(home, None, tell, timeout)
    downloads.fetch(schema_registry=schema_registry or home.has_schema_registry)
    if schema_registry:
        home.folder("schema-registry")
    supervisor = detach(home)
    try:
        return _wait_until_up(home, supervisor, tell, timeout)
    except PartFailed:
        down(home, tell)
        raise


def down(home: Home, tell: Tell, timeout: float = 120.0) -> SystemState:
    """Stops the system in good order; nothing to do if it does not run.

    Raises:
        HomeInUse: a demo or test runs this MATIH_HOME in its foreground: that has to end it.
    """
    if (by := holder(home.path)) is not None:
        _refuse_foreground(home, by)
        _signal(by, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while by is not None and (holder(home.path) == by or _ends(by)):
        tell(read_state(home.path))
        if time.monotonic() > deadline:
            _signal(by, signal.SIGKILL)  # its parts die with it
        time.sleep(_LOOK_SECONDS)
    return read_state(home.path)


def _wait_until_up(home: Home, supervisor: subprocess.Popen[bytes] | None, tell: Tell, timeout: float) -> SystemState:
    deadline = time.monotonic() + timeout
    while True:
        state = read_state(home.path)
        tell(state)
        if state.runner is not None:
            _refuse_foreground(home, state.runner)
            raise_for_failed(state.parts)
            if state.all_running:
                return state
        _raise_for_dead(home, state, supervisor)
        if time.monotonic() > deadline:
            raise PartFailed(f"not all parts are ready after {timeout:.0f} s: see {home.path / 'logs'}")
        time.sleep(_LOOK_SECONDS)


def _raise_for_dead(home: Home, state: SystemState, supervisor: subprocess.Popen[bytes] | None) -> None:
    code = supervisor.poll() if supervisor is not None else None
    lost_the_race = code == IN_USE  # to another `up`: its supervisor is as good
    gone = code is not None if supervisor is not None else state.runner is None
    if gone and not lost_the_race:
        raise LocalError(f"the supervisor ended: see {home.log('supervisor')}")


def _refuse_foreground(home: Home, by: Holder) -> None:
    if by.kind == "foreground":
        raise HomeInUse(
            f"process {by.pid} runs MATIH_HOME {home.path} in its foreground: end it, or choose another home"
        )


def _signal(by: Holder, number: signal.Signals) -> None:
    """Only if that process is a supervisor indeed: in a container of its own, the number means somebody else."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if not _runs_a_supervisor(psutil.Process(by.pid)):
            raise LocalError(f"process {by.pid} is no supervisor of ours: run this where the system was started")
        os.kill(by.pid, number)


def _ends(by: Holder) -> bool:
    """It gave the home back, and is a process for a moment more."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return _runs_a_supervisor(psutil.Process(by.pid))
    return False


def _runs_a_supervisor(process: psutil.Process) -> bool:
    return "matih_local.supervisor" in process.cmdline()
