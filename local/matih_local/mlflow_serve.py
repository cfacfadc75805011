"""`mlflow server`, but in one process: `python -m matih_local.mlflow_serve OPTIONS`.

MLflow starts uvicorn as a child, which goes on answering when MLflow is killed, and imports everything once more.
Here MLflow becomes that uvicorn. A release of MLflow that works otherwise runs as it always does.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import mlflow.server
import uvicorn
from mlflow.cli import cli


def become(command: list[str], *, extra_env: dict[str, str], **_: Any) -> None:
    """Runs the uvicorn that `command` would start; ends this process with it."""
    os.environ.update(extra_env)
    uvicorn.main(command[command.index("uvicorn") + 1 :])


if __name__ == "__main__":
    vars(mlflow.server)["_exec_cmd"] = become
    cli(["server", *sys.argv[1:]])
