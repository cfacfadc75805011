"""The guide's commands, in its order, on real Kafka and databases, say what stands behind them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.audit.world import archive_of
from tests.workers.journals import START, Entry, Producer
from tests.workers.pipe import Pipe
from tests.workers.views import SqlBench

from matih_local import mlflow_schema

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "replay.md").read_text()
STEP = re.compile(r"```sh\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
OF_THE_MOMENT = re.compile(r"[0-9a-f]{32}|\d{4}-\d\d-\d\dT[\d:.]+Z")


@pytest.mark.soak
def test_the_guide(kafka: str, events_topic: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    pipe = Pipe(kafka, events_topic, uri, tmp_path)
    request.addfinalizer(pipe.close)
    who = Producer(tenant="acme", experiment="guide")
    entries = [Entry({"loss": step / 10, "acc": 1.0}, step=step, time=START + step) for step in range(4)]
    created = who.created(tags={"team": "a"})
    pipe.publish([created, *(who.log(entry) for entry in entries), who.ended()])
    pipe.start()
    pipe.settled()
    (run,) = SqlBench(uri).runs(who.run_id)
    MlflowClient(uri).set_tag(run.info.run_id, "team", "edited")
    audit = archive_of(pipe)
    environment = pipe.environment(
        MATIH_AUDIT_ARCHIVE=str(audit),
        REBUILT_URI=f"sqlite:///{tmp_path / 'rebuilt.db'}",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    steps = STEP.findall(GUIDE)
    assert len(steps) == 9
    for command, told in steps:
        done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if told:
            assert OF_THE_MOMENT.sub("*", done.stdout) == OF_THE_MOMENT.sub("*", told)
