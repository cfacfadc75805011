"""The commands that there are, and how one is loaded when it is called."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from typing import Any, Final

from matih_console.errors import CommandFailed, WrongUse

DISTRIBUTION: Final = "matih-tracking"
GROUP: Final = "matih.commands"


@dataclass(frozen=True)
class Command:
    """One line of `matih --help`. It stands here so that the help has to import no command.

    Attributes:
        purpose: use, operate or audit.
        extra: the extra of the distribution that the command's libraries come with, if any.
    """

    name: str
    purpose: str
    summary: str
    extra: str | None = None


COMMANDS: Final = (
    Command("demo", "use", "The whole system on this machine: real training, faults, and the proof.", "local"),
    Command("run", "use", "Run a training command and deliver what it logs: matih run -- python train.py", None),
    Command("experiments", "use", "Experiments in MLflow: list.", "reads"),
    Command("runs", "use", "Runs in MLflow: list, show, watch, compare, export.", "reads"),
    Command("sync", "use", "Deliver everything that a spool still holds.", None),
    Command("status", "use", "What is logged, what is delivered, and by whom.", None),
    Command("doctor", "use", "Check every setting and connection, and say how to mend what is wrong.", None),
    Command(
        "local", "operate", "Kafka, PostgreSQL, MLflow and the worker on this machine: up, down, status, env.", "local"
    ),
    Command("worker", "operate", "Carry events from Kafka to MLflow.", "workers"),
    Command("api", "operate", "Answer the REST API.", "api"),
    Command("shipper", "operate", "Carry a spool's journals to Kafka, in the foreground (for a sidecar).", None),
    Command("topics", "operate", "The topics of the catalogue: create, check, print.", None),
    Command("usage", "operate", "What each tenant has written: records and bytes, from the events topic itself.", None),
    Command("dlq", "operate", "Dead letters: list, show, redrive, purge.", "workers"),
    Command(
        "replay", "operate", "The events once more: fill what is missing in MLflow, rebuild it, mend it.", "workers"
    ),
    Command("tenants", "operate", "Who may use the API: create, list, token, revoke.", "api"),
    Command(
        "audit",
        "audit",
        "The archive of all events that proves itself: archive, verify, prove, show, export, erase and more.",
        "workers",
    ),
)


def known() -> dict[str, Command]:
    """All commands by name; those that other distributions bring are grouped as `more`."""
    found = {command.name: command for command in COMMANDS}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, Command(point.name, "more", f"From {point.value}."))
    return found


def load(name: str) -> Any:
    """The command's typer app or function.

    Raises:
        WrongUse: there is no such command.
        CommandFailed: a library it needs is not installed; the message names the extra.
    """
    point = _entry_point(name)
    if point is None:
        raise WrongUse(f"no command {name!r}: see `matih --help`")
    try:
        return getattr(importlib.import_module(point.module), point.attr)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("matih_"):
            raise
        raise CommandFailed(_missing(name, error.name or "a library")) from error


def _entry_point(name: str) -> EntryPoint | None:
    """Looks into our own distribution first: reading all installed ones takes longer than most commands."""
    try:
        own = distribution(DISTRIBUTION).entry_points.select(group=GROUP, name=name)
    except PackageNotFoundError:
        own = ()  # type: ignore[assignment]
    return next(iter(own), None) or next(iter(entry_points(group=GROUP, name=name)), None)


def _missing(name: str, library: str) -> str:
    extra = next((command.extra for command in COMMANDS if command.name == name), None)
    package = f"'{DISTRIBUTION}[{extra}]'" if extra else DISTRIBUTION
    return f"`matih {name}` needs {library}, which is not installed: pip install {package}"
