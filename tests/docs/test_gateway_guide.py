"""The guide's program and its curl line work as they stand there, against a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.api.gateway_app import Serving, app, tokens_in

from matih_kafka.memory import MemoryPublisher
from matih_schemas import codec
from matih_schemas.events import RunCreated, RunEnded, RunLogged
from matih_schemas.identity import experiment_id

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "gateway.md").read_text()


def test_the_program_and_curl_send_a_run(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (line,) = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    shutil.copy(ROOT / "schemas" / "matih_schemas" / "avsc" / "tracking_event.avsc", tmp_path)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tokens, topic = tmp_path / "tokens.json", MemoryPublisher()
    tokens.write_text(json.dumps({"t0ken": ["ada", {"acme": "WRITER"}]}))
    with Serving(app(lambda: topic, tokens_in(tokens))) as serving:
        variables = {
            "MATIH_API_URL": f"http://127.0.0.1:{serving.port}",
            "MATIH_API_TOKEN": "t0ken",
            "PATH": "/usr/bin:/bin",
        }
        sent = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
    assert json.loads(sent.stdout) == {"accepted": 3}, (sent.stdout, sent.stderr)
    events = [codec.decode(record.value) for partition in topic.partitions for record in partition]
    assert [type(event.payload) for event in events] == [RunCreated, RunLogged, RunEnded]
    assert {event.actor for event in events} == {"ada"}
    created, logged, _ = (event.payload for event in events)
    assert isinstance(created, RunCreated)
    assert created.experiment_id == experiment_id("acme", "churn")
    assert isinstance(logged, RunLogged)
    assert (logged.groups[0].shapes, logged.groups[0].value) == ([["loss"]], [0.5])
