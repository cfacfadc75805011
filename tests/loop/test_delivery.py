"""What the SDK says about delivery, against what MLflow's own client sees."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from tests.waiting import until

from matih_schemas import tags
from matih_schemas.identity import experiment_id

if TYPE_CHECKING:
    from tests.loop.pipe import Pipe

SCRIPT = """
import json, sys
from matih_tracking import ExperimentConfig, ExperimentTracker
tracker = ExperimentTracker()
config = ExperimentConfig(sys.argv[1] + "-alone", "no runs yet", {"team": "red"}, tenant_id="acme")
alone = tracker.create_experiment(config)
with tracker.start_run(sys.argv[1]) as run:
    for step in range(1000):
        run.log_metrics({"loss": 1 / (step + 1)}, step=step)
    run.set_tag("stage", "done")
    flushed = run.flush(60)
    applied = run.wait_applied(60)
    status = run.status()
    print(json.dumps([flushed, applied, status.entries, status.on_kafka, run.run_id, run.url, alone]))
"""


def test_flush_wait_applied_and_the_url_say_what_is_so(pipe: Pipe) -> None:
    client = MlflowClient(pipe.system.mlflow.url)
    pipe.start_shipper()
    command = [sys.executable, "-c", SCRIPT, pipe.experiment]
    done = subprocess.run(command, env=pipe.environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    flushed, applied, entries, on_kafka, run_id, url, alone = json.loads(done.stdout)
    assert (flushed, applied, entries, on_kafka) == (True, True, 1002, 1002)
    experiment = client.get_experiment_by_name(pipe.experiment)
    (run,) = client.search_runs([experiment.experiment_id])
    assert url == f"{pipe.system.mlflow.url}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}"
    assert run.data.tags[tags.RUN_ID] == run_id
    assert run.data.tags["stage"] == "done"
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 1000
    assert done.stderr.splitlines()[-1].endswith(
        f"FINISHED: 1003 entries delivered to kafka {pipe.system.kafka.url} | {url}"
    )

    created = until(
        lambda: client.get_experiment_by_name(f"acme/{pipe.experiment}-alone"), "the experiment without a run"
    )
    assert alone == experiment_id("acme", f"{pipe.experiment}-alone") == created.tags[tags.EXPERIMENT_ID]
    assert created.tags["team"] == "red"
