"""The entry point of `matih`: finds the command, runs it, turns its end into an exit code."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from matih_console import commands
from matih_console.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns the exit code: 0, 1 (it failed), 2 (wrong use), 130 (Ctrl-C)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("--help", "-h", "help"):
        sys.stdout.write(help_text())
        return 0 if words else 2
    if words[0] == "--version":
        sys.stdout.write(f"matih {version(commands.DISTRIBUTION)}\n")
        return 0
    try:
        return _run(words[0], words[1:])
    except CommandError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED


def help_text() -> str:
    """The commands, grouped by purpose; made without importing any of them."""
    lines = ["Usage: matih COMMAND [OPTIONS]   (matih COMMAND --help says more)", ""]
    found = commands.known().values()
    for purpose in ("use", "operate", "audit", "more"):
        group = [command for command in found if command.purpose == purpose]
        if group:
            lines += [purpose, *(f"  {command.name:<12}{command.summary}" for command in group), ""]
    return "\n".join(lines)


def _run(name: str, arguments: list[str]) -> int:
    target = commands.load(name)
    import typer

    command = typer.main.get_command(_as_app(target))
    try:
        # Not standalone: typer would print its own boxes around errors, and end the process.
        result = command.main(args=arguments, prog_name=f"matih {name}", standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if not _is_wrong_use(error):
            raise
        return _say(f"{_one_line(error)} (see `matih {name} --help`)", 2)
    return result if isinstance(result, int) else 0


def _as_app(target: Any) -> Any:
    import typer

    if isinstance(target, typer.Typer):
        return target
    app = typer.Typer(add_completion=False)
    app.command()(target)
    return app


def _is_wrong_use(error: Exception) -> bool:
    """Whether typer refused the arguments. By shape: newer typers carry a click of their own, older ones need click."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _one_line(error: Any) -> str:
    return " ".join(str(error.format_message()).split()).rstrip(".")


def _say(message: str, exit_code: int) -> int:
    sys.stderr.write(f"matih: {message}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
