"""What was learnt from a registry, in files: one for each fact, written once, so that nothing ever has to be merged."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

_ID: Final = re.compile(r"\d{1,10}\Z")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16}\Z")


class SchemaCache:
    """The ids of one registry's schemas. A folder that can't be used costs the cache and nothing else: it is told once.

    A fact is there or not, whole, after whatever end of a process. What a file holds is checked: anything else than a
    fact is none.
    """

    def __init__(self, folder: Path | None, url: str) -> None:
        """Makes nothing yet.

        Args:
            folder: for the facts of all registries; None keeps none.
            url: of this registry.
        """
        self._folder = None if folder is None else folder / hashlib.sha256(url.encode()).hexdigest()[:16]
        self._told = False

    def fingerprint(self, schema_id: int) -> bytes | None:
        """Of the schema that an id means."""
        text = self._read(f"id-{schema_id}", _FINGERPRINT)
        return None if text is None else bytes.fromhex(text)

    def keep_fingerprint(self, schema_id: int, fingerprint: bytes) -> None:
        """Notes it."""
        self._write(f"id-{schema_id}", fingerprint.hex())

    def schema_id(self, subject: str, fingerprint: bytes) -> int | None:
        """The id that a schema has under a subject."""
        text = self._read(_name(subject, fingerprint), _ID)
        return None if text is None else int(text)

    def keep_schema_id(self, subject: str, fingerprint: bytes, schema_id: int) -> None:
        """Notes it, instead of what was noted before."""
        self._write(_name(subject, fingerprint), str(schema_id))

    def _read(self, name: str, form: re.Pattern[str]) -> str | None:
        if self._folder is None:
            return None
        try:
            text = (self._folder / name).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._tell(error)
            return None
        return text if form.match(text) else None

    def _write(self, name: str, text: str) -> None:
        if self._folder is None or self._read(name, re.compile(re.escape(text) + r"\Z")) is not None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_whole(self._folder / name, text + "\n")
        except OSError as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "schema ids can't be kept in %s (%s): without the registry they are unknown after a restart; "
                "set SCHEMA_REGISTRY_CACHE_DIR",
                self._folder,
                getattr(error, "strerror", None) or error,
            )


def default_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where ids are kept if nobody says where: in the user's cache, else in a folder of this user's own in /var/tmp."""
    base = environment.get("XDG_CACHE_HOME", "")
    if Path(base).is_absolute():
        return Path(base) / "matih" / "schemas"
    home = environment.get("HOME", "")
    if Path(home).is_absolute() and os.access(home, os.W_OK):
        return Path(home) / ".cache" / "matih" / "schemas"
    return _shared_folder()


def _shared_folder() -> Path | None:
    """Only one that is ours: whoever else could write there would tell us what ids mean."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path("/var/tmp") / f"matih-schemas-{os.getuid()}"  # noqa: S108 - its owner is checked
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid == os.getuid() and not found.st_mode & 0o022 and folder.is_dir() and not folder.is_symlink():
            return folder
    return None


def _name(subject: str, fingerprint: bytes) -> str:
    return f"subject-{hashlib.sha256(subject.encode()).hexdigest()[:32]}-{fingerprint.hex()}"


def _write_whole(path: Path, text: str) -> None:
    """A reader sees all of it or nothing, also after a kill or a power cut."""
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise
