"""`matih doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from matih_console import checks
from matih_console.output import JsonOption, console, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_console.checks import Finding

_COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


def doctor(
    json: JsonOption = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that one check may take.")] = checks.SECONDS,
) -> int:
    """Check every setting and connection of this environment, and say how to mend what is wrong."""
    found = checks.run(checks.load(), timeout)
    failed = [name for name, finding in found.items() if finding.state == "failed"]
    if json:
        print_json({"ok": not failed, "checks": {name: asdict(finding) for name, finding in found.items()}})
    else:
        _print(found)
    return 1 if failed else 0


def _print(found: Mapping[str, Finding]) -> None:
    width = max((len(name) for name in found), default=0)
    for name, finding in found.items():
        state = f"[{_COLOURS[finding.state]}]{finding.state:<8}[/]"
        console.print(f"{state} {name:<{width}}  ", end="")
        console.print(finding.detail, markup=False, soft_wrap=True)
        if finding.remedy:
            console.print(f"{'':<{width + 11}}-> {finding.remedy}", markup=False, soft_wrap=True)
