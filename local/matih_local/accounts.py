"""Whom PostgreSQL runs as, and what that account can reach: it refuses to run as root."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from matih_local.cache import shared_folder
from matih_local.errors import LocalError

ACCOUNT: Final = "nobody"
"""Exists everywhere, so that nothing has to be added to the machine."""


def other_account() -> tuple[int, int] | None:
    """(uid, gid) of the account to run as when we are root, else None: our own.

    Raises:
        LocalError: we are root and there is no such account.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError as error:
        raise LocalError(
            f"PostgreSQL can't run as root and there is no user {ACCOUNT!r}: run this as another user"
        ) from error
    return entry.pw_uid, entry.pw_gid


def reachable(base: Path, folders: tuple[str, ...], name: str) -> Path:
    """A folder that has these folders and whose programs every user can run: `base`, or a copy of it in /var/tmp.

    Args:
        base: where the folders are.
        folders: relative to base; what is next to them stays there.
        name: of the copy; the same name is taken for the same content.

    Raises:
        LocalError: the copy's place belongs to somebody else.
    """
    if _open_way(base) and all(_open_tree(base / folder) for folder in folders):
        return base
    copies = shared_folder("programs")
    copies.mkdir(mode=0o755, exist_ok=True)
    copies.chmod(0o755)
    if copies.stat().st_uid != os.getuid():
        raise LocalError(f"{copies} belongs to another user: remove it, or move the environment out of {base}")
    if not (copies / name).exists():
        _copy(base, folders, copies / name)
    return copies / name


def _open_way(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _open_tree(folder: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IROTH for path in (folder, *folder.rglob("*")) if not path.is_symlink())


def _copy(base: Path, folders: tuple[str, ...], target: Path) -> None:
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=".partial-"))
    for folder in folders:
        shutil.copytree(base / folder, partial / folder, symlinks=True)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & stat.S_IXUSR else 0))
    try:
        partial.rename(target)
    except OSError:  # another process was quicker
        shutil.rmtree(partial)
