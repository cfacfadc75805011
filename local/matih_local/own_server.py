"""A server of this project as a part of the system: the same `python -m` as anywhere."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from matih_local.children import Command, clean_environment
from matih_local.health import answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matih_local.home import Home


class OwnServer:
    """What the servers of this project have in common; a subclass says what runs and which page tells it is ready.

    Attributes:
        url: of its pages.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    ready_page: str
    stop_signal = signal.SIGTERM

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.folder(self.name)
        self._port = home.port(self.name)
        self._environment: Mapping[str, str] = {}
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = home.log(self.name)

    def setup(self) -> Iterator[Command]:
        """Nothing to make: its topics are Kafka's."""
        self._home.require_free_port(self.name)
        yield from ()

    def server(self) -> Command:
        """It, in the foreground."""
        arguments = (sys.executable, "-m", self.module, *self.arguments)
        return Command(arguments, clean_environment(**self._environment), self._folder, self.log)

    def is_ready(self) -> bool:
        """Whether its page says so."""
        return answers(f"{self.url}{self.ready_page}")

    def settle(self) -> None:
        """Nothing to do."""
