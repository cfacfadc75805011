"""How a command says that it failed: one line on stderr and an exit code."""

from __future__ import annotations


class CommandError(Exception):
    """A command ends with this message as its one line of error. Say what happened, to what, and what to do next."""

    exit_code = 1


class CommandFailed(CommandError):
    """The command was right, what it wanted to do failed: exit code 1."""


class WrongUse(CommandError):
    """The command was called wrongly: exit code 2."""

    exit_code = 2
