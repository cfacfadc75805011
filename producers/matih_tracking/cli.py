"""The SDK's commands: `matih run`, `sync`, `status` and `shipper`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

run = typer.Typer(add_completion=False)


@run.command(context_settings={"allow_interspersed_args": False})
def run_command(
    command: Annotated[list[str], typer.Argument(help="The program and its arguments.", metavar="-- CMD...")],
    wait: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to wait for delivery at the end; default MATIH_EXIT_TIMEOUT, or 4."),
    ] = None,
) -> int:
    """Run a job: one run id for all its processes, a shipper beside it, and its own exit code.

    Waits at the end until what was logged is on Kafka, and says what is left if it takes too long.
    """
    from matih_tracking.commands import job

    return job.run(command, wait)


def sync(
    spool: Annotated[
        Path | None,
        typer.Argument(exists=True, file_okay=False, help="A spool, also another host's or a copy; default: our own."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, help="Give up after so many seconds without progress.")] = 60.0,
    any_target: Annotated[
        bool, typer.Option("--any-target", help="Also what was written for another Kafka, topic or user.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0, help="Entries (log calls) a second at most, beside live runs; 0: no limit.")
    ] = 0.0,
    json: JsonOption = False,
) -> int:
    """Deliver everything that a spool still holds, and wait for it. Exit code 1 if something is left."""
    from matih_tracking.commands import sync as work

    report = _report(lambda: work.sync(spool, timeout, any_target=any_target, rate=rate, show=not json))
    if json:
        print_json(report)
    else:
        console.print(f"{report['delivered']} entries of {report['journals']} journals delivered")
    if report["left"] or report["unreadable"] or report["reason"]:
        if not json:
            _tell_left(report)
        return 1
    return 0


def status(json: JsonOption = False) -> None:
    """What is logged, what is delivered, and by whom."""
    from matih_tracking.commands import status as work

    report = _report(work.status)
    if json:
        print_json(report)
    else:
        _print_status(report)


def shipper(
    spool: Annotated[Path | None, typer.Option(help="The spool's folder; default: the environment's.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Stay when there is nothing to do, as a sidecar.")] = False,
) -> int:
    """Carry a spool's journals to Kafka, in the foreground. SIGTERM ends it; Ctrl-C is left to the training."""
    from matih_tracking.shipper.command import ship
    from matih_tracking.shipper.service import Options

    return ship(spool, Options(forever=forever))


def _report(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    from matih_kafka.errors import InvalidSettings
    from matih_tracking.spool import SpoolUnusable

    try:
        return make()
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
    except (SpoolUnusable, OSError) as error:
        raise CommandFailed(str(error)) from error


def _tell_left(report: dict[str, Any]) -> None:
    for reason in report["unreadable"].values():
        note(reason)
    if report["left"] or not report["unreadable"]:
        note(f"{report['left']} entries are left: {report['reason']}")


def _print_status(report: dict[str, Any]) -> None:
    from rich.table import Table

    broker, carrier = report["broker"], report["shipper"]
    reach = "reachable" if broker["reachable"] else broker["error"]
    console.print(f"spool    {report['spool']}", soft_wrap=True)
    topic = f", topic {broker['topic']}" if broker["topic"] else ""
    console.print(f"{broker['kind']:<8} {broker['address']}{topic}: {reach}", soft_wrap=True)
    words = "none runs; a tracker starts one" if carrier["state"] == "none" else f"{carrier['state']}"
    pid = f" (pid {carrier['pid']}, {carrier['entries']} entries delivered)" if "pid" in carrier else ""
    trouble = f"; last trouble: {carrier['error']}" if carrier["error"] else ""
    console.print(f"shipper  {words}{pid}{trouble}", soft_wrap=True)
    if not report["journals"]:
        console.print("nothing is left to deliver")
        return
    table = Table("run", "producer", "state", "entries", "on Kafka", "left", "bytes")
    for item in report["journals"]:
        cells = [item[name] for name in ("run", "producer", "state", "entries", "acked", "lag", "bytes")]
        table.add_row(*map(str, cells))
    console.print(table)
    for item in report["journals"]:
        if item["reason"]:
            console.print(item["reason"], soft_wrap=True)
