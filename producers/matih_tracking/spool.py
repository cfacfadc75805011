"""Where the journals of this machine lie: base / uid / hash(brokers, topic, principal) / machine id + boot id.

A spool belongs to one user, one Kafka topic as one principal, and one boot of one machine, so a shipper never has to
guess whose journals these are.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from matih_schemas.errors import MatihError
from matih_tracking.mounts import is_network_file_system, mount_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JOURNALS: Final = "journals"
DEFAULT_MAX_BYTES: Final = 4 << 30

_MACHINE_ID_FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_BOOT_ID_FILE: Final = "/proc/sys/kernel/random/boot_id"
_SPOOL_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{32})\Z")
_SIZE: Final = re.compile(r"(\d+)\s*([kmgt]?)i?b?\Z", re.IGNORECASE)


class SpoolUnusable(MatihError):
    """The spool can't be written, or can't be trusted; the message says what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy


class SpoolKey(NamedTuple):
    """What the entries of a spool are for.

    Attributes:
        brokers: Kafka's bootstrap servers, comma separated; order and spaces don't matter.
        topic: the events topic.
        principal: the user that the shipper logs in to Kafka as, empty without a login.
    """

    brokers: str
    topic: str
    principal: str = ""

    @property
    def hash16(self) -> str:
        """16 hex characters, the same for the same brokers, topic and principal."""
        brokers = ",".join(sorted({broker.strip().lower() for broker in self.brokers.split(",") if broker.strip()}))
        parts = (brokers, self.topic, self.principal)
        return _hash("".join(f"{len(part)}:{part}" for part in parts), 16)


class SpoolSettings(NamedTuple):
    """What the environment says about the spool.

    Attributes:
        base: MATIH_SPOOL_DIR; the folder for spools; without it `$XDG_STATE_HOME/matih`, else `~/.local/state/matih`.
        max_bytes: MATIH_SPOOL_MAX_BYTES; the bound on a spool's journals: a number, or one with K, M, G or T.
        journal: MATIH_JOURNAL; `auto` (mmap where the file system is safe for it), `mmap` or `write`.
    """

    base: Path | None = None
    max_bytes: int = DEFAULT_MAX_BYTES
    journal: str = "auto"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> SpoolSettings:
        """Read the settings.

        Raises:
            SpoolUnusable: a value isn't one of those allowed.
        """
        base = environ.get("MATIH_SPOOL_DIR", "").strip()
        journal = environ.get("MATIH_JOURNAL", "").strip().lower() or "auto"
        if journal not in {"auto", "mmap", "write"}:
            raise SpoolUnusable(f"MATIH_JOURNAL is {journal!r}", "Set it to auto, mmap or write, or unset it")
        size = environ.get("MATIH_SPOOL_MAX_BYTES", "").strip()
        return cls(Path(base).expanduser() if base else None, _bytes(size) if size else DEFAULT_MAX_BYTES, journal)


def _bytes(text: str) -> int:
    match = _SIZE.match(text)
    if not match or not int(match[1]):
        raise SpoolUnusable(
            f"MATIH_SPOOL_MAX_BYTES is {text!r}", "Set it to a number of bytes, such as 2000000000 or 2G, or unset it"
        )
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[match[2].lower()]


def spool_base(settings: SpoolSettings, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for all spools: MATIH_SPOOL_DIR, else a folder of the user's that lies on a local disk."""
    if settings.base is not None:
        return settings.base.absolute()
    state = environ.get("XDG_STATE_HOME", "").strip()
    if state and Path(state).is_absolute():
        return Path(state) / "matih"
    home = _home(environ)
    if home is not None and not is_network_file_system(home):
        return home / ".local" / "state" / "matih"
    return Path("/var/tmp") / f"matih-{user_name()}"  # noqa: S108 - checked for its owner before it's used


def _home(environ: Mapping[str, str]) -> Path | None:
    try:
        home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    except RuntimeError:  # no HOME, and a uid without an entry in passwd: common in containers
        return None
    return home if home.is_absolute() and home.is_dir() else None


def spool_path(key: SpoolKey, settings: SpoolSettings | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The spool for this key, on this machine, in this boot. Nothing is made.

    Raises:
        SpoolUnusable: a setting isn't one of those allowed.
    """
    settings = settings or SpoolSettings.from_environment(environ)
    base = spool_base(settings, environ)
    return base / user_name() / key.hash16 / f"{machine_key(base)}-{boot_id()}"


def user_name() -> str:
    """The numeric user id; where there are none (Windows), the user's name."""
    if sys.platform == "win32":
        return re.sub(r"\W", "_", os.environ.get("USERNAME", "user"))
    return str(os.geteuid())


def spool_key_of(spool: Path) -> str:
    """The hash of the key that a spool's path was made from; zeros for a folder that isn't laid out so."""
    name = spool.parent.name
    return name if re.fullmatch(r"[0-9a-f]{16}", name) else "0" * 16


@cache
def boot_id() -> str:
    """32 hex characters, new at each start of the machine; zeros where the system doesn't say."""
    return _first_line((_BOOT_ID_FILE,)).replace("-", "") or "0" * 32


def machine_key(base: Path) -> str:
    """16 hex characters for this machine.

    It is made of the machine's id; where there's none (containers), and where other machines can see the same folder
    (images are cloned with their ids), of the host's name too.
    """
    machine = _first_line(_MACHINE_ID_FILES)
    if machine and not is_network_file_system(base):
        return _hash(machine, 16)
    return _hash(f"{machine}\n{host_name()}", 16)


def host_name() -> str:
    """The machine's name, as its users know it."""
    return os.environ.get("COMPUTERNAME", "") if sys.platform == "win32" else os.uname().nodename


def _first_line(files: tuple[str, ...]) -> str:
    for file in files:
        try:
            line = Path(file).read_text().strip()
        except OSError:
            continue
        if line and line != "uninitialized":
            return line.splitlines()[0]
    return ""


def _hash(text: str, characters: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:characters]


def open_spool(path: Path) -> Path:
    """Make the spool's folders if they aren't there, readable by their owner only, and check who owns them.

    Args:
        path: what `spool_path` said, or such a folder that another process reported.

    Returns:
        The same path.

    Raises:
        SpoolUnusable: it can't be made or written, it belongs to somebody else, or a part of it is a link.
    """
    own = _own_folders(path)
    try:
        own[0].parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in own:
            folder.mkdir(mode=0o700, exist_ok=True)
            _check_folder(folder)
    except OSError as error:
        raise SpoolUnusable(
            f"the spool {path} can't be made: {error.strerror or error} ({error.filename})",
            "Point MATIH_SPOOL_DIR at a folder on a local disk that this user can write to",
        ) from error
    if not os.access(path / JOURNALS, os.W_OK | os.X_OK):
        raise SpoolUnusable(f"the spool {path} can't be written", "Point MATIH_SPOOL_DIR at a folder that can be")
    return path


def _own_folders(path: Path) -> list[Path]:
    """The folders, from the top, that have to belong to the user alone."""
    if path.parents[1].name == user_name() and spool_key_of(path) == path.parent.name:
        return [path.parents[1], path.parent, path, path / JOURNALS]
    return [path, path / JOURNALS]


def _check_folder(folder: Path) -> None:
    # lstat: whoever can put a link in a shared folder's place could else send the entries where he likes.
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise SpoolUnusable(f"{folder} is no folder, or a link to one", "Remove it, or set MATIH_SPOOL_DIR")
    if sys.platform == "win32":
        return
    if status.st_uid != os.geteuid():
        raise SpoolUnusable(
            f"{folder} belongs to uid {status.st_uid}, this process is uid {os.geteuid()}",
            "Remove it, or point MATIH_SPOOL_DIR at a folder of your own",
        )
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def other_boots(path: Path) -> list[Path]:
    """This machine's spools for the same key from before its last start: whatever is in them has no living writer."""
    match = _SPOOL_NAME.match(path.name)
    if not match or not path.parent.is_dir():
        return []
    return [folder for folder in _spools(path.parent) if folder.name.startswith(match[1]) and folder != path]


def _spools(parent: Path) -> Iterator[Path]:
    return (folder for folder in sorted(parent.iterdir()) if _SPOOL_NAME.match(folder.name) and folder.is_dir())


def volatile_reason(path: Path, environ: Mapping[str, str] = os.environ) -> str | None:
    """Why the spool may vanish with this job or machine, as the end of a sentence; None if it stays."""
    mount = mount_of(path)
    if mount is not None and mount.type in {"tmpfs", "ramfs"}:
        return f"it lies in memory ({mount.type} at {mount.point}) and vanishes when the machine or container stops"
    if environ.get("SLURM_JOB_ID") and _below(path, _slurm_temporary(environ)):
        return "SLURM empties this folder when the job ends"
    if mount is not None and mount.type == "overlay" and _in_container(environ):
        return "it lies in the container's own layer and vanishes with it"
    return None


def _slurm_temporary(environ: Mapping[str, str]) -> list[Path]:
    named = [environ[name] for name in ("SLURM_TMPDIR", "TMPDIR") if environ.get(name)]
    return [Path(folder) for folder in (*named, "/tmp")]  # noqa: S108 - looked for, not used


def _below(path: Path, folders: list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _in_container(environ: Mapping[str, str]) -> bool:
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) or any(mark.exists() for mark in marks)
