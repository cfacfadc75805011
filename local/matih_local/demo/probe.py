"""Measures the time from a log call to MLflow: logs a value, waits until MLflow's API shows it, again and again."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from matih_local.demo.jobs import PROBE
from matih_local.demo.ledger import Ledger
from matih_tracking import ExperimentTracker, RunConfig

PAUSE_SECONDS = 0.2
GIVE_UP_SECONDS = 60.0


def main(experiment: str, ledger_path: Path, times_path: Path) -> None:
    """Runs until the file `times_path` + `.stop` is there; writes the times, in ms, as one JSON list."""
    ledger, times = Ledger(ledger_path), []
    stop = times_path.with_suffix(".stop")
    with ExperimentTracker().start_run(experiment, RunConfig(run_name=PROBE)) as run:
        ledger.run(run.run_id, PROBE)
        step = 0
        while not stop.exists():
            step += 1
            values, timestamp, start = {"step": float(step)}, int(time.time() * 1000), time.perf_counter()
            ledger.before(values, step, timestamp)
            run.log_metrics(values, step=step, timestamp=timestamp)
            ledger.after(int((time.perf_counter() - start) * 1e9))
            if run.wait_applied(timeout=GIVE_UP_SECONDS):
                times.append((time.perf_counter() - start) * 1000)
            time.sleep(PAUSE_SECONDS)
    times_path.write_text(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
