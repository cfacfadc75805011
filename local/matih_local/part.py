"""What the system asks of a part: how to set it up, start it, see that it works, and stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from signal import Signals

    from matih_local.children import Command


class Part(Protocol):
    """One server of the system. It only says what to do; the runner does it, and owns the processes.

    Attributes:
        name: short, also its log's.
        needs: names of the parts that have to run before it starts.
        uses: names of further parts that it can wait for by itself, but that have to outlive it.
        url: where clients find it.
        log: the file that gets what it prints.
        stop_signal: asks it to end in good order.
        stop_seconds: how long that may take before it is killed.
    """

    name: str
    needs: tuple[str, ...]
    uses: tuple[str, ...]
    url: str
    log: Path
    stop_signal: Signals
    stop_seconds: float

    def setup(self) -> Iterator[Command]:
        """Commands to run to their end before the server, each asked for when the one before has ended well.

        Does nothing that was done before; removes what a killed server left behind.
        """
        ...

    def server(self) -> Command:
        """The server itself, in the foreground."""
        ...

    def is_ready(self) -> bool:
        """Whether it answers now, within a second at most. False for every failure."""
        ...

    def settle(self) -> None:
        """What else it takes until it is of use, topics for instance; called after each start, once it is ready.

        Raises:
            LocalError: it could not be done yet; it is tried again.
        """
        ...
