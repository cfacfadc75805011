"""Files that hold segments, written in place, and made without holes: no later write can fail for want of space."""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from matih_tracking.journal.errors import JournalClosed, JournalError, JournalFull

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_POPULATE_WRITE: Final = 23  # MADV_POPULATE_WRITE of Linux 5.14, which the mmap module doesn't name
_BLOCK: Final = 1 << 16
_FLAGS: Final[int] = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FULL: Final = {errno.ENOSPC: "disk", errno.EDQUOT: "quota", errno.EFBIG: "quota"}


class Window(Protocol):
    """A segment's bytes, written in place. `window[start:end] = data` needs `len(data) == end - start`."""

    def __setitem__(self, place: slice, data: bytes, /) -> None: ...


class WrittenWindow:
    """A segment that is written by a system call per frame, for file systems where a mapping is unsafe."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __setitem__(self, place: slice, data: bytes, /) -> None:
        write_at(self._fd, data, place.start)


class _ClosedWindow:
    """In the place of a window that must not be written any more."""

    __slots__ = ()

    def __setitem__(self, place: slice, data: bytes, /) -> None:
        raise JournalClosed(f"{len(data)} bytes can't be written at {place.start}: the segment is closed")


CLOSED_WINDOW: Final[Window] = _ClosedWindow()


def map_file(fd: int, size: int) -> Window:
    """Map a file's `size` bytes, all of them allocated, for writing."""
    return mmap.mmap(fd, size)


def populate(window: Window, start: int, end: int) -> None:
    """Let the kernel map these pages now: a page fault every 34 entries is what p99 of the log call is made of else."""
    if isinstance(window, mmap.mmap):
        with suppress(OSError):  # advice only: a kernel that doesn't take it maps the pages one by one
            window.madvise(_POPULATE_WRITE, start, end - start)


def create_file(path: Path, size: int) -> int:
    """Make a file of `size` bytes, every one of them allocated, and return its descriptor.

    Raises:
        JournalFull: the space isn't there; no file is left.
        OSError: it failed for another reason; no file is left.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
    try:
        _allocate(fd, size)
    except BaseException as error:
        os.close(fd)
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise write_error(path.parent, error) from error
        raise
    return fd


def open_to_read(path: Path) -> int | None:
    """Open a file for reading; None if there is none."""
    try:
        return os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None


def open_to_write(path: Path) -> int:
    """Open a file for reading and writing, and make it if there is none."""
    return os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)


def is_same_file(fd: int, path: Path) -> bool:
    """Whether the open file is the one at this path."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:  # gone, or out of reach, which is the same to whoever looks for it there
        return False


def remove_folder(folder: Path) -> None:
    """Delete a folder and the files in it, as far as they're there."""
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            file.unlink(missing_ok=True)
        folder.rmdir()


def write_error(path: Path, error: OSError) -> JournalError:
    """What a failure to write to, or make, a file in the folder `path` means to the caller."""
    reason = _FULL.get(error.errno or 0)
    if reason is None:
        return JournalError(f"{path}: the file system refuses to write: {error}. Is the disk in order?")
    return JournalFull(
        reason,
        f"{path}: no room: {error.strerror}. Free some space there, raise the limit, or point MATIH_SPOOL_DIR at a "
        "larger disk",
    )


def _allocate(fd: int, size: int) -> None:
    # Never ftruncate: a page of a sparse file on a full disk raises SIGBUS in the process that touches it.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    for start in range(0, size, _BLOCK):
        write_at(fd, bytes(min(_BLOCK, size - start)), start)


def write_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, whatever the descriptor's own position."""
    view = memoryview(data)
    while view:
        written = _pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Read up to `size` bytes from `offset`, whatever the descriptor's own position."""
    return _pread(fd, size, offset)


def _seek_and_write(fd: int, data: memoryview, offset: int) -> int:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.write(fd, data)


def _seek_and_read(fd: int, size: int, offset: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)


# Windows has neither; there nobody shares a descriptor: the writer holds a lock, each reader opens its own.
_pwrite: Callable[[int, memoryview, int], int] = getattr(os, "pwrite", _seek_and_write)
_pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)
