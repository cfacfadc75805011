"""`import matih_tracking` is light: what servers and notebooks need is loaded by those who need it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

from matih_tracking.origin import SDK_VERSION

HEAVY = {
    "aiokafka", "asyncio", "cramjam", "faust", "fastapi", "fastavro", "mlflow", "mode", "numpy", "pandas", "pydantic",
    "pydantic_settings", "requests", "rich", "sqlalchemy", "torch", "typer", "http.client", "subprocess",
    "urllib.request",
}  # fmt: skip


def loaded(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


def test_import_loads_nothing_heavy():
    before = loaded("")
    modules = loaded("import matih_tracking.experiment_tracker; from matih_tracking import ExperimentTracker")
    assert "matih_tracking.run" in modules
    assert (modules - before) & HEAVY == set()


def test_a_run_without_delivery_loads_nothing_heavy(tmp_path):
    code = f"""
import os
os.environ.update(MATIH_SPOOL_DIR={str(tmp_path)!r}, MATIH_MODE="offline", MATIH_QUIET="1")
from matih_tracking import ExperimentTracker
with ExperimentTracker().start_run("e") as run:
    run.log_metrics({{"a": 1.0}})
    run.log_params({{"b": {{"c": 1}}}})
"""
    assert (loaded(code) - loaded("")) & HEAVY == set()


def test_the_version_is_the_distributions():
    assert version("matih-tracking") == SDK_VERSION
