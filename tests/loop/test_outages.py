"""Training with backends down: its own exit code, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.loop.pipe import PARTS

if TYPE_CHECKING:
    from tests.loop.pipe import Pipe


def test_everything_down_from_the_first_line_on(pipe: Pipe) -> None:
    pipe.system.stop()
    trainer = pipe.start_trainer("trainer", calls=1000, pause_ms=0)
    assert trainer.wait(60) == 0
    told = (pipe.folder / "trainer.log").read_text()
    assert "matih sync" in told
    pipe.system.start(*PARTS)
    sync = pipe.sync()
    assert sync.returncode == 0, (sync.stdout, sync.stderr)
    assert json.loads(sync.stdout.splitlines()[-1])["left"] == 0
    found = pipe.final_count({"trainer": "FINISHED"})
    assert found.holds, found
    assert found.logged == found.in_mlflow == 3000


def test_exit_code_is_the_scripts_own_with_everything_down(pipe: Pipe) -> None:
    pipe.system.stop()
    script = (
        "import sys; sys.argv=['x']\n"
        "from matih_tracking import ExperimentTracker\n"
        f"run = ExperimentTracker().start_run({pipe.experiment!r})\n"
        "run.log_metric('a', 1.0)\n"
        "sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=pipe.environment(), timeout=60, check=False)
    assert done.returncode == 7


def test_ranks_log_into_one_run(pipe: Pipe) -> None:
    pipe.start_shipper()
    for rank in range(4):
        pipe.start_trainer(
            f"rank-{rank}",
            calls=100,
            pause_ms=1,
            run_name="together",
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE="4",
            LOCAL_WORLD_SIZE="4",
            TORCHELASTIC_RUN_ID=f"job-{pipe.experiment}",
        )
    assert [process.wait(60) for name, process in pipe.processes.items() if name.startswith("rank")] == [0] * 4
    run_ids = {tail.read().run_id for tail in pipe.tails.values()}
    assert len(run_ids) == 1
    found = pipe.final_count({"together": "FINISHED"})
    assert found.holds, found
    assert found.logged == found.in_mlflow == 4 * 100 * 3
