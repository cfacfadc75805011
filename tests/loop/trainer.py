"""A training process that only logs: `trainer.py LEDGER EXPERIMENT RUN CALLS PAUSE_MS`. Its ledger is the truth.

It ends earlier where a file is beside the ledger whose name ends in `.enough`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from matih_local.demo.ledger import Ledger
from matih_tracking import ExperimentTracker, RunConfig


def main(path: Path, experiment: str, run_name: str, calls: int, pause_ms: float) -> None:
    ledger, enough = Ledger(path), path.with_suffix(".enough")
    with ExperimentTracker().start_run(experiment, RunConfig(run_name=run_name)) as run:
        ledger.run(run.run_id, run_name)
        prefix = f"rank{os.environ['RANK']}/" if "RANK" in os.environ else ""
        run.log_params({"calls": calls, "pause_ms": pause_ms})
        ledger.params({"calls": str(calls), "pause_ms": str(pause_ms)})
        for step in range(calls):
            if enough.exists():
                break
            values = {"loss": 1 / (step + 1), "accuracy": step / calls, "step": float(step)}
            metrics = {prefix + key: value for key, value in values.items()}
            timestamp = int(time.time() * 1000)
            ledger.before(metrics, step, timestamp)
            start = time.perf_counter_ns()
            run.log_metrics(metrics, step=step, timestamp=timestamp)
            ledger.after(time.perf_counter_ns() - start)
            time.sleep(pause_ms / 1000)
        run.set_tag("last", str(calls))
        ledger.tags({"last": str(calls)})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
