"""`matih demo`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from matih_console.errors import CommandFailed
from matih_console.output import JsonOption, print_json
from matih_local import downloads
from matih_local.demo import forks
from matih_local.demo.demonstration import Demonstration
from matih_local.demo.live import Screen
from matih_local.demo.report import Result, problems, table
from matih_local.errors import LocalError
from matih_local.runner import SUPERVISED
from matih_local.system import LocalSystem

if TYPE_CHECKING:
    from types import FrameType

DEFAULT_HOME = Path(".matih-demo")


def demo(
    home: Annotated[Path, typer.Option(help="The demo's own MATIH_HOME.")] = DEFAULT_HOME,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the servers open afterwards, until Ctrl-C.")] = False,
    json: JsonOption = False,
) -> int:
    """The whole system on this machine: real training, faults in the middle, and a count of what arrived.

    Exit code 1 if anything was lost, duplicated, or ended otherwise than it should.
    """
    signal.signal(signal.SIGTERM, _end_in_good_order)
    # With --json stdout is the report's alone.
    console = Console(highlight=False, stderr=json)
    began = time.monotonic()
    try:
        with LocalSystem(home, restarts=SUPERVISED) as system:
            result = _run(system, console, began)
            print_json(result.as_json()) if json else _print(result, console)
            if keep:
                _keep(system, console)
    except LocalError as error:
        raise CommandFailed(str(error)) from error
    return 0 if result.holds else 1


def _end_in_good_order(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _run(system: LocalSystem, console: Console, began: float) -> Result:
    downloads.fetch()
    forks.prepare()
    console.print(
        f"starting Kafka, PostgreSQL, MLflow, worker, API and archiver; their logs: {system.home.path / 'logs'}"
    )
    system.start()
    console.print(f"ready after {time.monotonic() - began:.0f} s: MLflow's page is {system.mlflow.url}")
    folder = system.home.path / "training"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    with Screen(console) as screen:
        return Demonstration(system, screen, folder, _environment(system), began=began).run()


def _environment(system: LocalSystem) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "MATIH_", "MLFLOW_"))}
    # The demo's shipper is its child; one that a training process started would outlive a demo that is killed.
    return {**kept, **system.environment(), "MATIH_SHIPPER": "external"}


def _print(result: Result, console: Console) -> None:
    console.print(table(result))
    for line in problems(result):
        console.print(line, style="red", markup=False)
    verdict = (
        "[green]nothing lost, nothing twice, nothing else[/]" if result.holds else "[red]this is not as it should be[/]"
    )
    console.print(verdict)
    console.print(f"\n$ {result.api.command}\n{result.api.shown}", markup=False, soft_wrap=True)
    console.print(
        f"\nMLflow's page: {result.ui_url} (open while the demo runs: `make demo ARGS=--keep` keeps it)\n"
        f"logs: {result.logs}\n"
        'next: `matih local up`, then `eval "$(matih local env)"`, then `matih run -- python your_training.py`'
    )


def _keep(system: LocalSystem, console: Console) -> None:
    console.print(f"open until Ctrl-C: {system.mlflow.url}")
    try:
        while True:
            system.tick()
            time.sleep(0.2)
    except KeyboardInterrupt:
        console.print("stopping")
