"""What commands print: a report on stdout, for people or as one JSON object, and remarks on stderr."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Final

import typer
from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on one line instead.")]
"""The type of every command's `json` parameter: `def status(json: JsonOption = False)`."""

console: Final = Console(highlight=False)
"""Writes to stdout, with colours if it is a terminal."""


def print_json(report: Any) -> None:
    """Prints the report as one line of JSON on stdout; what JSON has no form for is printed as its str()."""
    sys.stdout.write(json.dumps(report, default=str) + "\n")
    sys.stdout.flush()


def note(message: str) -> None:
    """Says something to the person in front of the terminal, on stderr, so that stdout stays the report's own."""
    sys.stderr.write(f"matih: {message}\n")
    sys.stderr.flush()
