"""What kind of file system a folder lies on, as Linux tells it in /proc/self/mountinfo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs"),
        *("nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "wekafs"),
    }
)
_COPY_ON_WRITE: Final = frozenset({"bcachefs", "btrfs", "nilfs2", "zfs"})
_network_devices: Final[dict[int, bool]] = {}


class Mount(NamedTuple):
    """A mounted file system: where, and of which type as the kernel calls it."""

    point: str
    type: str


def parse_mountinfo(text: str) -> list[Mount]:
    """Read the lines of a mountinfo file; later mounts hide earlier ones at the same place."""
    mounts = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if dash and len(fields) > 4:
            mounts.append(Mount(_unescape(fields[4]), right.split(" ", 1)[0]))
    return mounts


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def mounts() -> list[Mount]:
    """All mounts that this process sees; none where the system doesn't say (macOS, Windows)."""
    try:
        return parse_mountinfo(_MOUNTINFO.read_text(errors="surrogateescape"))
    except OSError:
        return []


def mount_of(path: Path, among: list[Mount] | None = None) -> Mount | None:
    """The mount that a path lies on (or would, once it's made), None where the system doesn't say."""
    place = os.path.realpath(path)
    over = [mount for mount in (mounts() if among is None else among) if _holds(mount.point, place)]
    return max(reversed(over), key=lambda mount: len(mount.point), default=None)


def _holds(point: str, place: str) -> bool:
    return place == point or place.startswith(point.rstrip("/") + "/")


def is_network_file_system(path: Path, among: list[Mount] | None = None) -> bool:
    """Whether other machines may see this folder too: locks and mappings can't be trusted there."""
    if among is not None:
        return _is_network(mount_of(path, among))
    # Reading all mounts takes longer than all else that a shipper asks of a journal, so the answer is kept.
    device = _device(path)
    if device not in _network_devices:
        _network_devices[device] = _is_network(mount_of(path))
    return _network_devices[device]


def _is_network(mount: Mount | None) -> bool:
    return mount is not None and (mount.type in _NETWORK or mount.type.startswith("fuse."))


def _device(path: Path) -> int:
    """The device that a path lies on, or would, once it's made."""
    try:
        return path.stat().st_dev
    except OSError:
        return _device(path.parent) if path != path.parent else -1


def is_safe_to_map(path: Path, among: list[Mount] | None = None) -> bool:
    """Whether a write to a mapped, allocated file can't fail here; where it could, the process would die of SIGBUS.

    Copy-on-write file systems need space for each write, whatever was allocated; so does an overlay on top of one,
    which a container can't see beneath, so that any such mount in its sight counts.
    """
    known = mounts() if among is None else among
    mount = mount_of(path, known)
    if mount is None or mount.type in _COPY_ON_WRITE or is_network_file_system(path, known):
        return False
    return mount.type != "overlay" or not any(other.type in _COPY_ON_WRITE for other in known)
