"""The archive on this machine: the same `matih audit archive` as anywhere, of this system's Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_local.files import write_whole
from matih_local.own_server import OwnServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matih_local.children import Command
    from matih_local.home import Home

ORIGIN: Final = "matih.local/audit"
"""What the log is called in its checkpoints."""
BATCH_SECONDS: Final = 10


class Audit(OwnServer):
    """Keeps all events and dead letters in MATIH_HOME/audit. Its key stands beside that folder, not in it.

    Attributes:
        archive: the archive's folder.
    """

    name = "audit"
    module = "matih_console.main"
    arguments = ("audit", "archive")
    ready_page = "/readyz"
    needs: tuple[str, ...] = ("kafka",)
    uses: tuple[str, ...] = ()
    stop_seconds = 15.0

    def __init__(self, home: Home, brokers: str, settings: Mapping[str, str]) -> None:
        super().__init__(home)
        self.archive = self._folder
        self._key, self._public = home.path / "audit.key", home.path / "audit.pub"
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": brokers,
            "MATIH_AUDIT_ARCHIVE": str(self.archive),
            "MATIH_AUDIT_KEY_FILE": str(self._key),
            "MATIH_AUDIT_BATCH_SECONDS": str(BATCH_SECONDS),
            "MATIH_AUDIT_PORT": str(self._port),
            **settings,
        }

    def setup(self) -> Iterator[Command]:
        """Makes the key once, for this user's eyes only."""
        yield from super().setup()
        if not self._public.exists():
            self._make_key()

    def environment(self) -> dict[str, str]:
        """What `matih audit verify` and the other questions need: the archive, and whose signature counts."""
        public = self._public.read_text().strip() if self._public.exists() else ""
        return {"MATIH_AUDIT_ARCHIVE": str(self.archive), "MATIH_AUDIT_PUBLIC_KEYS": public}

    def _make_key(self) -> None:
        from matih_workers.audit import notes  # here, so that `matih local status` need not wait for cryptography

        key = notes.signing_key(self._key.read_text()) if self._key.exists() else notes.new_key(ORIGIN)
        write_whole(self._key, key.secret() + "\n")
        write_whole(self._public, f"{key.public}\n")
