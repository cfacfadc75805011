"""A MATIH_HOME: the folder that holds one system's data, logs, ports and state, closed to other users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matih_local.cache import cache_folder
from matih_local.errors import LocalError
from matih_local.ports import is_free, ports_of

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Home:
    """One MATIH_HOME.

    Attributes:
        path: absolute.
        cache: where downloads are kept, for all homes.
    """

    path: Path
    cache: Path

    @classmethod
    def open(cls, path: Path) -> Home:
        """Makes the folder, closed to other users, if it isn't there; one that is there keeps its mode.

        Raises:
            LocalError: it can't be made or written to.
        """
        home = cls(path.expanduser().resolve(), cache_folder())
        try:
            home.path.mkdir(parents=True, mode=0o700, exist_ok=True)
            home.path.chmod(0o700)
            home.folder("logs")
        except OSError as error:
            raise LocalError(
                f"MATIH_HOME {home.path} can't be used ({error.strerror}): choose another folder"
            ) from error
        return home

    def folder(self, name: str) -> Path:
        """A folder in it, made if need be."""
        folder = self.path / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @property
    def has_schema_registry(self) -> bool:
        """Whether the system in it has a schema registry: once it was asked for one, it keeps it."""
        return (self.path / "schema-registry").is_dir()

    def log(self, part: str) -> Path:
        """A part's log."""
        return self.path / "logs" / f"{part}.log"

    def require_free_port(self, name: str) -> None:
        """Before a server starts on a port.

        Raises:
            LocalError: somebody else listens there.
        """
        if not is_free(port := self.port(name)):
            raise LocalError(
                f"port {port} is taken by another program: stop that one, or, once all is delivered (`matih status`), "
                f"remove {self.path / 'ports.json'} to have all ports chosen anew"
            )

    def port(self, name: str) -> int:
        """The port that was chosen for a name when it was first asked for; always the same."""
        return ports_of(self.path, (name,), self.cache)[name]


def _unusable(path: Path, reason: str) -> str:
    return f"MATIH_HOME {path} can't be used ({reason}): choose another folder"
