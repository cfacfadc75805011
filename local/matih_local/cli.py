"""`matih local up|down|status|env`."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from matih_console.errors import CommandFailed
from matih_console.output import JsonOption, console, note, print_json
from matih_local import control
from matih_local.display import Progress, table
from matih_local.errors import LocalError
from matih_local.home import Home
from matih_local.state import read_state
from matih_local.system import LocalSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_local.state import SystemState

DEFAULT_HOME: Final = Path(".matih")

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="MATIH_HOME", help="The folder that holds the system's data, logs and ports.")
]

local = typer.Typer(
    add_completion=False,
    help="Kafka, PostgreSQL, MLflow, worker, API and archiver on this machine, with their data kept in MATIH_HOME.",
)


@local.command()
def up(
    home: HomeOption = DEFAULT_HOME,
    schema_registry: Annotated[
        bool, typer.Option("--schema-registry", help="With a schema registry (Apicurio), and Confluent's framing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Start what does not run yet, in the background, and wait until all of it works.

    A MATIH_HOME that was given a schema registry keeps it.
    """
    with _told_in_one_line():
        opened = Home.open(home)
        try:
            with Progress() as progress:
                state = control.up(opened, progress.show, schema_registry=schema_registry)
        except KeyboardInterrupt:
            note(f"it goes on starting in the background: `{_command('down', opened)}` stops it")
            raise
    if json:
        print_json(state.report())
        return
    _print_table(state)
    console.print(
        f'next: eval "$({_command("env", opened)})", then train; `{_command("down", opened)}` stops it', soft_wrap=True
    )


@local.command()
def down(home: HomeOption = DEFAULT_HOME, json: JsonOption = False) -> None:
    """Stop all parts in good order; their data stays in MATIH_HOME."""
    with _told_in_one_line():
        opened = _existing(home)
        with Progress() as progress:
            state = control.down(opened, progress.show)
        places = " and ".join(str(folder) for folder in LocalSystem(opened).data_folders())
    if json:
        print_json(state.report())
        return
    console.print(f"stopped; the data stays in {places}: `{_command('up', opened)}` starts it again", soft_wrap=True)


@local.command()
def status(home: HomeOption = DEFAULT_HOME, json: JsonOption = False) -> None:
    """Show each part: its state, process, address, log, and how often it had to be started again."""
    with _told_in_one_line():
        opened = _existing(home)
        state = read_state(opened.path)
    if json:
        print_json(state.report())
        return
    _print_table(state)
    if state.runner is None:
        console.print(f"nothing runs: `{_command('up', opened)}` starts it", soft_wrap=True)


@local.command()
def env(home: HomeOption = DEFAULT_HOME, json: JsonOption = False) -> None:
    """Print the environment of training processes and audits, for a shell: eval "$(matih local env)"."""
    with _told_in_one_line():
        opened = _existing(home)
        variables = LocalSystem(opened).environment()
        if read_state(opened.path).runner is None:
            note(f"the system does not run: `{_command('up', opened)}` starts it")
    if json:
        print_json(variables)
        return
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _print_table(state: SystemState) -> None:
    console.print(table(state))
    if state.parts:
        names = ",".join((*(part.name for part in state.parts), "supervisor"))
        console.print(f"logs: {Path(state.parts[0].log).parent}/{{{names}}}.log", soft_wrap=True)


def _existing(path: Path) -> Home:
    if not path.is_dir():
        raise LocalError(f"there is no system in {path}: `matih local up --home {shlex.quote(str(path))}` makes one")
    return Home.open(path)


def _command(name: str, home: Home) -> str:
    """As the person would type it here."""
    default = home.path == DEFAULT_HOME.resolve()
    return f"matih local {name}" if default else f"matih local {name} --home {shlex.quote(str(home.path))}"


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    try:
        yield
    except LocalError as error:
        raise CommandFailed(str(error)) from error
