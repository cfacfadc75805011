"""Where an archive's files stand: a folder, or a bucket by fsspec. Files are whole or not there."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from matih_workers.audit.errors import Busy, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOGETHER: Final = 16
"""Files that are written at once: each waits for the disk, or for the bucket."""
ARCHIVER: Final = "archiver"
COMPACTION: Final = "compaction"
"""Who puts files together must not do so while payloads are taken out of them."""
TEMPORARY: Final = ".tmp"
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""So say file systems without hard links, such as buckets that are mounted."""


class Storage(Protocol):
    """Files by their path from the archive's root, as `log/checkpoint`.

    Each call blocks, and raises `StorageUnavailable` if the folder or the bucket refuses.
    """

    def read(self, path: str) -> bytes | None:
        """The whole file; None if there is none."""

    def write(self, files: Mapping[str, bytes]) -> None:
        """Puts the files there, each whole or not at all, and lasting when this returns. One that is there goes."""

    def create(self, path: str, data: bytes) -> bool:
        """Puts the file there, as `write` does, unless there is one; whether it did. Of two who try only one does."""

    def versions(self) -> dict[str, bytes]:
        """All files, and what was written over or deleted as far as it is kept: the content by a name for each."""

    def paths(self, folder: str) -> list[str]:
        """The files in a folder and in those below it, sorted, but for temporary ones that a killed writer left."""

    def sizes(self, folder: str) -> dict[str, int]:
        """The same files with their sizes in bytes, by listing: none is read."""

    def written_at(self, path: str) -> float | None:
        """When the file was written, in seconds since the epoch, by the storage's clock; None if there is none."""

    def delete(self, path: str) -> None:
        """Removes a file, if it is there."""

    def lock(self, purpose: str = ARCHIVER) -> AbstractContextManager[None]:
        """A context for the one who writes for this purpose.

        Raises:
            Busy: another one does, and it can be seen.
        """


class LocalFolder:
    """A folder of this machine. A file is written under another name, synced and renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __str__(self) -> str:
        return str(self._root)

    def read(self, path: str) -> bytes | None:
        """The whole file; None if there is none."""
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unavailable(path, error) from error

    def write(self, files: Mapping[str, bytes]) -> None:
        """Writes the files side by side; all are synced when it returns."""
        if len(files) == 1:
            for path, data in files.items():
                self._write(path, data)
            return
        with ThreadPoolExecutor(TOGETHER) as pool:
            for done in [pool.submit(self._write, path, data) for path, data in files.items()]:
                done.result()

    def create(self, path: str, data: bytes) -> bool:
        """Gives a file that is whole and synced its name, which the kernel refuses where there is one."""
        target = self._root / path
        temporary = target.with_name(f"{target.name}-{os.getpid()}{TEMPORARY}")
        try:
            _write_synced(temporary, data)
            created = _named(temporary, target)
            _sync_folder(target.parent)
        except OSError as error:
            raise self._unavailable(path, error) from error
        return created

    def versions(self) -> dict[str, bytes]:
        """All files; nothing is kept of what was there before."""
        found = {path: self.read(path) for path in self.paths("")}
        return {path: data for path, data in found.items() if data is not None}

    def paths(self, folder: str) -> list[str]:
        """The files in a folder and in those below it, sorted."""
        found = (Path(where) / name for where, _, names in os.walk(self._root / folder) for name in names)
        return sorted(path.relative_to(self._root).as_posix() for path in found if path.suffix != TEMPORARY)

    def sizes(self, folder: str) -> dict[str, int]:
        """The files and their sizes."""
        found = {path: self._stat(path) for path in self.paths(folder)}
        return {path: known.st_size for path, known in found.items() if known is not None}

    def written_at(self, path: str) -> float | None:
        """When the file was written."""
        known = self._stat(path)
        return None if known is None else known.st_mtime

    def delete(self, path: str) -> None:
        """Removes a file, if it is there."""
        try:
            (self._root / path).unlink(missing_ok=True)
        except OSError as error:
            raise self._unavailable(path, error) from error

    @contextmanager
    def lock(self, purpose: str = ARCHIVER) -> Iterator[None]:
        """Holds a lock on a file in the folder: the kernel lets it go with the process."""
        name = f"{purpose}.lock"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            file = (self._root / name).open("a+", encoding="utf-8")
        except OSError as error:
            raise self._unavailable(name, error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise Busy(f"archive {self._root}: {holder} writes it: stop that {purpose} first") from error
            file.truncate(0)
            file.write(f"pid {os.getpid()} on {socket.gethostname()}")
            file.flush()
            if purpose == ARCHIVER:
                self._remove_temporary()
            yield

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            return (self._root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unavailable(path, error) from error

    def _write(self, path: str, data: bytes) -> None:
        target = self._root / path
        temporary = target.with_name(f"{target.name}{TEMPORARY}")
        try:
            _write_synced(temporary, data)
            temporary.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise self._unavailable(path, error) from error

    def _remove_temporary(self) -> None:
        for left in self._root.rglob(f"*{TEMPORARY}"):
            left.unlink(missing_ok=True)

    def _unavailable(self, path: str, error: OSError) -> StorageUnavailable:
        return StorageUnavailable(
            f"archive {self._root}: {path}: {error.strerror or error}: is there space, and may we?"
        )


def _named(temporary: Path, target: Path) -> bool:
    """Lets the file be the target, unless there is one."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            return False
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _write_synced(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes a rename last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_storage(place: str) -> Storage:
    """The folder or the bucket that an archive's address names.

    Raises:
        StorageUnavailable: it needs a library that is not installed.
    """
    if "://" not in place:
        return LocalFolder(Path(place).expanduser())
    if place.startswith("file://"):
        return LocalFolder(Path(place.removeprefix("file://")))
    from matih_workers.audit.bucket import Bucket

    return Bucket(place)
