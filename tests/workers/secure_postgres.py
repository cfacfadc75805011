"""A real PostgreSQL that lets in by TLS and password only, for tests: the one from the wheel has no TLS."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import psycopg
from tests.certificates import Authority
from tests.ports import free_ports
from tests.waiting import until

from matih_local.accounts import other_account
from matih_local.children import Child, Command, spawn

DEBIANS = Path("/usr/lib/postgresql")
USER, PASSWORD = "tracker", "correct-horse-9"
RULES = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


def programs() -> Path | None:
    """The folder of the newest server's programs, if Debian's package is here."""
    found = [path.parent for path in DEBIANS.glob("*/bin/postgres")]
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)], default=None)


class SecurePostgres:
    """Runs from `start` to `stop`.

    Attributes:
        certificates: the folder of `ca.pem`, which signed the server's certificate, and of `stranger.pem`.
    """

    def __init__(self, programs: Path, certificates: Path, server_address: str = "127.0.0.1") -> None:
        self.certificates = certificates
        Authority(certificates).issue("server", server_address)
        Authority(certificates, "stranger")
        # Not in pytest's folder: PostgreSQL does not run as root, and another user can't go in there.
        self._folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="matih-tls-"))
        self._programs, self._account = programs, other_account()
        (self._port,) = free_ports(1)
        self._server: Child | None = None

    def uri(self, database: str = "postgres", **options: str) -> str:
        """As MATIH_STORE_URI has it: by default it is the server of that name or nobody (verify-full)."""
        wanted = {"sslmode": "verify-full", "sslrootcert": str(self.certificates / "ca.pem"), **options}
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self._port}/{database}?{query}"

    def start(self) -> None:
        """Makes its data and starts it."""
        (self._folder / "password").write_text(PASSWORD)
        for name in ("server.crt", "server.key"):
            shutil.copy(self.certificates / name, self._folder)
        for path in (self._folder, *self._folder.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.chown(path, *(self._account or (-1, -1)))
        data = self._folder / "data"
        words = ("-D", str(data), f"--username={USER}", f"--pwfile={self._folder / 'password'}", "--auth=scram-sha-256")
        made = self._spawn("initdb", *words, "--encoding=UTF8", "--locale=C")
        until(lambda: made.exit_code() is not None, "the data is made")
        assert made.exit_code() == 0, self._log()
        (data / "pg_hba.conf").write_text(RULES)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": str(self._folder / "server.crt"),
            "ssl_key_file": str(self._folder / "server.key"),
        }
        options = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        self._server = self._spawn("postgres", "-D", str(data), *options)
        until(self._is_up, "the secure server answers")

    def stop(self) -> None:
        if self._server is not None:
            self._server.kill()
        shutil.rmtree(self._folder)

    def encrypted(self, application: str) -> list[bool]:
        """Of each connection of that application, whether it is encrypted."""
        with psycopg.connect(self.uri()) as connection:
            rows = connection.execute(
                "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = %s",
                (application,),
            )
            return [bool(row[0]) for row in rows]

    def _is_up(self) -> bool:
        assert self._server is not None
        assert self._server.exit_code() is None, self._log()
        try:
            psycopg.connect(self.uri(sslmode="require", sslrootcert=""), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _spawn(self, program: str, *arguments: str) -> Child:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        words = (str(self._programs / program), *arguments)
        return spawn(Command(words, environment, self._folder, self._folder / "log", self._account, named=True))

    def _log(self) -> str:
        return (self._folder / "log").read_text()
