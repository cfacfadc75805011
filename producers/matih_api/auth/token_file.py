"""The tokens' file on disk: whom it may belong to, and how several writers change it without losing anything."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from matih_api.auth.token_records import TokensFile, UnreadableTokens, read_tokens, written
from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
BYTES_MAX: Final = 64 << 20


class TokensFileUnusable(MatihError):
    """The tokens' file is missing, unreadable or unsafe; the message names it and says what to do."""


class Seen(NamedTuple):
    """What tells that a file is another or was written."""

    inode: int
    size: int
    changed_ns: int
    mode: int
    owner: int


def look(path: Path) -> Seen:
    """What is there now.

    Raises:
        TokensFileUnusable: nothing is, or it can't be looked at.
    """
    try:
        return _seen(path.stat())
    except OSError as error:
        raise _unusable(path, error) from None


def read(path: Path) -> tuple[Seen, TokensFile]:
    """The file's tokens, and what it looked like before it was read.

    Raises:
        TokensFileUnusable: it can't be read, others may read or change it, or it is no tokens' file.
    """
    try:
        # Not blocking: a pipe in its place would hold the caller until somebody writes.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            _check_safe(path, status)
            return _seen(status), read_tokens(file.read(BYTES_MAX))
    except OSError as error:
        raise _unusable(path, error) from None
    except UnreadableTokens as error:
        raise TokensFileUnusable(
            f"{path} is no tokens' file: {error}; mend it, or move it away and make new tokens"
        ) from None


def change(path: Path, edit: Callable[[TokensFile], tuple[TokensFile, T]]) -> T:
    """Replaces the file's content by what `edit` makes of it, in one step and alone; returns what else `edit` gives.

    The file is made (0600) if there is none. A reader sees the old content or the new one, also after a power cut.

    Raises:
        TokensFileUnusable: it can't be read or written, or is unsafe. Nothing has changed then.
        Anything that `edit` raises: nothing has changed then.
    """
    target = path.resolve()  # a link stays one
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(target):
            before = read(target)[1] if target.exists() else TokensFile()
            after, result = edit(before)
            if after != before:
                _replace(target, written(after))
            return result
    except OSError as error:
        raise _unusable(path, error) from None


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Held on a file of its own: the tokens' file is another one after each change."""
    lock = os.open(target.with_name(f"{target.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(target: Path, content: bytes) -> None:
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _keep_owner(target, file.fileno())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _keep_owner(target: Path, descriptor: int) -> None:
    """Root changes the file of the API's own user: it has to stay that user's, or the API can't read it."""
    if os.geteuid() == 0 and target.exists():
        status = target.stat()
        os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seen(status: os.stat_result) -> Seen:
    return Seen(status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode, status.st_uid)


def _check_safe(path: Path, status: os.stat_result) -> None:
    """As PostgreSQL wants it for keys: nobody but the owner; root's may be read by a group (Kubernetes' secrets)."""
    if not stat.S_ISREG(status.st_mode):
        raise TokensFileUnusable(f"{path} is no regular file: name another by MATIH_API_TOKENS_FILE")
    if status.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
        raise TokensFileUnusable(
            f"{path} belongs to another user, who can let anybody in: chown it to this one or root"
        )
    allowed = 0o640 if status.st_uid == 0 else 0o600
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 & ~allowed:
        raise TokensFileUnusable(f"{path} can be read or changed by others (mode {mode:04o}): chmod 600 {path}")


def _unusable(path: Path, error: OSError) -> TokensFileUnusable:
    remedy = (
        "`matih tenants create` makes it, or name another by MATIH_API_TOKENS_FILE"
        if isinstance(error, FileNotFoundError)
        else "look at its owner and mode, and at the disk"
    )
    return TokensFileUnusable(f"the tokens' file {path}: {error.strerror or type(error).__name__}; {remedy}")
