"""What `matih doctor` asks of a training host."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from matih_console.checks import Finding
from matih_tracking.mounts import is_network_file_system, is_safe_to_map
from matih_tracking.settings import read
from matih_tracking.shipper import state
from matih_tracking.shipper.command import own_spool
from matih_tracking.shipper.survey import survey
from matih_tracking.spool import SpoolUnusable, open_spool, other_boots, volatile_reason
from matih_tracking.target import target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matih_console.checks import Check

FREE_BYTES: Final = 1 << 30
_TIMEOUT: Final = 5.0


def checks() -> Mapping[str, Check]:
    """Settings, spool, delivery, MLflow for reading."""
    return {"SDK settings": _settings, "spool": _spool, "delivery": _delivery, "MLflow": _mlflow}


def _settings() -> Finding:
    settings, problems = read(os.environ)
    if problems:
        return Finding("failed", "; ".join(problems), "change these variables: docs/settings.md lists all of them")
    return Finding("ok", f"tenant {settings.tenant}, mode {settings.mode}, shipper {settings.shipper}")


def _spool() -> Finding:
    try:
        spool = open_spool(own_spool())
    except SpoolUnusable as error:
        return Finding("failed", str(error), "name another folder in MATIH_SPOOL_DIR")
    free = shutil.disk_usage(spool).free
    found = f"{spool}, {free / 1e9:.1f} GB free"
    if (why := _doubt(spool, free)) is not None:
        return Finding("warning", f"{found}: {why}", "name a folder on a local disk in MATIH_SPOOL_DIR")
    return Finding("ok", found)


def _doubt(spool: Path, free: int) -> str | None:
    """Why another folder would be better."""
    if (why := volatile_reason(spool)) is not None:
        return why
    if is_network_file_system(spool):
        return "it is on a network file system"
    if not is_safe_to_map(spool):
        return "it is on a file system on which a log call is a system call"
    return "that is little" if free < FREE_BYTES else None


def _delivery() -> Finding:
    try:
        spool = own_spool()
    except SpoolUnusable as error:
        return Finding("skipped", str(error))
    if not spool.exists():
        return Finding("ok", "nothing was logged here yet")
    if not spool.is_dir():
        return Finding("skipped", f"{spool} is no folder")
    journals = survey([spool, *other_boots(spool)], target(os.environ).spool_key.hash16)
    unreadable = [journal for journal in journals if journal.life == "unreadable"]
    waiting = sum(journal.lag for journal in journals if journal.life != "unreadable")
    runs = state.is_running(spool)
    told = state.read(spool)
    found = f"{waiting} entries in {len(journals)} journals wait, {'a' if runs else 'no'} shipper runs"
    if unreadable:
        first = unreadable[0]
        return Finding("warning", f"{found}; {len(unreadable)} unreadable: {first.reason}", f"look at {first.path}")
    if runs and told is not None and told.error and told.state == "waiting":
        return Finding("warning", f"{found}: {told.error}", "it delivers as soon as that is mended")
    if waiting and not runs:
        return Finding("warning", found, "`matih sync` delivers them, as does the next job")
    return Finding("ok", found)


def _mlflow() -> Finding:
    settings, _ = read(os.environ)
    parts = urlsplit(settings.tracking_uri)
    if not settings.tracking_uri_given:
        return Finding("skipped", "MLFLOW_TRACKING_URI is not set", "set it to get the runs' URLs and wait_applied")
    if parts.scheme not in {"http", "https"}:
        return Finding(
            "skipped", f"MLFLOW_TRACKING_URI is {parts.scheme}://...: runs are read from MLflow's server only"
        )
    where = f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    try:
        with urllib.request.urlopen(f"{settings.tracking_uri.rstrip('/')}/health", timeout=_TIMEOUT):  # noqa: S310 - http or https, see above
            return Finding("ok", f"{where} answers")
    except urllib.error.HTTPError as error:
        return Finding(
            "failed", f"{where} answers {error.code}", "is it MLflow's server, and are its --allowed-hosts right?"
        )
    except OSError as error:
        why = getattr(error, "reason", error)
        return Finding("failed", f"{where}: {why}", "is the server up? Logging goes on without it")
