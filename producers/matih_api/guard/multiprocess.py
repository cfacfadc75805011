"""One set of metrics for all processes of an API: files that each writes and any can sum (prometheus-client's own way).

A scrape reaches one process, whichever the kernel gives the connection to; counters of that one alone would jump.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


def share_metrics() -> Path:
    """Makes the folder and names it in the environment; it goes with this process.

    Call it in the parent of all processes, before prometheus_client is imported there or in them: it looks once.
    """
    given = os.environ.get(VARIABLE)
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        return Path(given)
    folder = tempfile.mkdtemp(prefix="matih-api-metrics-")
    os.environ[VARIABLE] = folder
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
    return Path(folder)


def forget_the_dead(folder: Path) -> None:
    """Takes away what processes that are gone say of the present (gauges); what they counted stays."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not Path("/proc", pid).exists() and Path("/proc/self").exists():
            path.unlink(missing_ok=True)
