"""Opens the journals of this process's runs: in the spool that is meant, else in one that can be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matih_tracking.errors import TrackingUnavailable
from matih_tracking.journal.errors import JournalError
from matih_tracking.journal.writer import JournalWriter
from matih_tracking.spool import SpoolSettings, SpoolUnusable, spool_path, user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matih_tracking.target import Target

TROUBLE: Final = (SpoolUnusable, JournalError, OSError)
"""What opening a journal may raise."""


class Journals:
    """Where this process writes.

    Attributes:
        path: the spool that the last journal was opened in; None before the first.
    """

    def __init__(self, target: Target, warn: Callable[[str], None], *, strict: bool = False) -> None:
        self.path: Path | None = None
        self._key = target.spool_key
        self._warn = warn
        self._strict = strict
        self._settings = self._read_settings()

    def open(self, run_id: str) -> JournalWriter:
        """A new journal for a run, in the spool or, with one clear warning, in a temporary folder's.

        Raises:
            SpoolUnusable, JournalError, OSError: there is no folder that can be written; the first one's trouble.
            TrackingUnavailable: in strict mode, the spool itself can't be.
        """
        first: Exception | None = None
        for path in self._candidates():
            try:
                writer = self._create(path, run_id)
            except TROUBLE as error:
                if self._strict:
                    raise TrackingUnavailable(str(error)) from error
                first = first or error
                continue
            if first is not None and path != self.path:
                self._warn(
                    f"{first}. Until then entries are kept in {path}; what is left there, `matih sync {path}` delivers"
                )
            self.path = path
            return writer
        raise first or SpoolUnusable("no folder for the spool is known", "Set MATIH_SPOOL_DIR")

    def _create(self, path: Path, run_id: str) -> JournalWriter:
        return JournalWriter.create(path, run_id, max_bytes=self._settings.max_bytes, journal=self._settings.journal)

    def _candidates(self) -> Iterator[Path]:
        yield spool_path(self._key, self._settings)
        for folder in fallbacks():
            yield spool_path(self._key, self._settings._replace(base=folder / f"matih-{user_name()}"))

    def _read_settings(self) -> SpoolSettings:
        try:
            return SpoolSettings.from_environment(os.environ)
        except SpoolUnusable as error:
            if self._strict:
                raise TrackingUnavailable(str(error)) from error
            self._warn(f"{error}; until then the default is used")
            return SpoolSettings()


def fallbacks() -> list[Path]:
    """Folders for a spool where the one that is meant can't be used; the first survives a start of the machine."""
    import tempfile  # random, and what that needs: seldom wanted

    places = (Path("/var/tmp"), Path(tempfile.gettempdir()))  # noqa: S108 - each folder's owner is checked
    return [folder for folder in dict.fromkeys(places) if folder.is_dir()]
