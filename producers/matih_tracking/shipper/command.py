"""Runs a shipper in the foreground, from settings to exit code."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from matih_kafka.errors import InvalidSettings
from matih_schemas.errors import InvalidName
from matih_tracking.shipper import log, state
from matih_tracking.shipper.carriers import carrier
from matih_tracking.shipper.service import Options, Service
from matih_tracking.spool import SpoolUnusable, open_spool, spool_path
from matih_tracking.target import target

if TYPE_CHECKING:
    from pathlib import Path


def own_spool() -> Path:
    """The spool that trackers with this process's environment write to.

    Raises:
        SpoolUnusable: a setting is wrong.
    """
    return spool_path(target(os.environ).spool_key)


def ship(spool: Path | None, options: Options, *, to_spool: bool = False) -> int:
    """Ships until done or told to stop; returns the exit code: 0, 1 (it can't), 2 (wrong settings).

    Args:
        spool: the spool's folder, None for the environment's own.
        options: how long it stays.
        to_spool: log into the spool instead of to the terminal.
    """
    try:
        spool = spool.absolute() if spool is not None else open_spool(own_spool())
        log.log_to_spool(spool) if to_spool else log.log_to_terminal()
        shipped = Service(spool, carrier(), options).run()
    except (InvalidSettings, InvalidName) as error:
        return _say(str(error), 2)
    except SpoolUnusable as error:
        return _say(str(error), 1)
    if not shipped:
        other = state.read(spool)
        return _say(f"another shipper{f' (pid {other.pid})' if other else ''} carries {spool} already", 0)
    return 0


def _say(line: str, exit_code: int) -> int:
    sys.stderr.write(f"matih: {line}\n")
    return exit_code
