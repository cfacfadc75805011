"""Bytes by tenant of the day (UTC): shared by the processes of a host, kept over restarts, in one small file."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

from matih_kafka.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

SYNC_SECONDS: Final = 1.0
"""Seconds between two writes; a process that is killed forgets at most what it took since."""
TENANTS_MAX: Final = 10_000
OTHER: Final = "(other)"
DAY_SECONDS: Final = 86_400
_NAME: Final = "bytes-of-the-day.json"


def day_of(time: float) -> int:
    """The day of UTC, in days since the epoch; `time` is in seconds since the epoch."""
    return int(time // DAY_SECONDS)


class Day:
    """The bytes of one day: what all processes had told when the file was read, and what this one took since. Pure."""

    def __init__(self) -> None:
        self.number = 0
        self._told: Mapping[str, int] = {}
        self._own: Counter[str] = Counter()

    def used(self, tenant: str, day: int) -> int:
        """Bytes of the tenant on that day."""
        if day != self.number:
            return 0
        name = self._name(tenant)
        return self._told.get(name, 0) + self._own[name]

    def add(self, tenant: str, size: int, day: int) -> None:
        """More bytes; a new day begins at nothing."""
        if day != self.number:
            self.number, self._told, self._own = day, {}, Counter()
        self._own[self._name(tenant)] += size

    def hand_over(self) -> tuple[int, Counter[str]]:
        """The day, and what this process took and has not told yet; that is zero from here on."""
        own, self._own = self._own, Counter()
        self._told = _sum(self._told, own)
        return self.number, own

    def learn(self, day: int, told: Mapping[str, int]) -> None:
        """What the file has now, with everything that was handed over."""
        if day >= self.number:
            self._own = self._own if day == self.number else Counter()
            self.number, self._told = day, told

    def take_back(self, day: int, own: Counter[str]) -> None:
        """What was handed over could not be told: it stays to be told."""
        if day == self.number:
            self._told = {name: size - own[name] for name, size in self._told.items()}
            self._own.update(own)

    def _name(self, tenant: str) -> str:
        known = tenant in self._told or tenant in self._own
        return tenant if known or len(self._told) + len(self._own) < TENANTS_MAX else OTHER


class Ledger:
    """The file. Every method may be called in any thread; only `sync` does I/O."""

    def __init__(self, folder: Path | None) -> None:
        """Makes the folder.

        Raises:
            InvalidSettings: it can't be made or written.
        """
        self._folder = folder
        self._writing = threading.Lock()
        self._counting = threading.Lock()
        self._broken = False
        self._day = Day()
        if folder is not None:
            _make(folder)

    def used(self, tenant: str, today: int) -> int:
        """Bytes of the tenant today, as far as this process knows."""
        with self._counting:
            return self._day.used(tenant, today)

    def add(self, tenant: str, size: int, today: int) -> None:
        """More bytes."""
        with self._counting:
            self._day.add(tenant, size, today)

    def sync(self, today: int) -> None:
        """Adds what this process took to the file, and reads what the others did. A disk that fails is told once."""
        if self._folder is None:
            return
        with self._writing:
            with self._counting:
                day, own = self._day.hand_over()
            try:
                number, told = _add(self._folder, day, own, today)
            except OSError as error:
                with self._counting:
                    self._day.take_back(day, own)
                self._tell(error)
                return
            with self._counting:
                self._day.learn(number, told)
            self._broken = False

    def _tell(self, error: OSError) -> None:
        if not self._broken:
            why = f"{error.strerror}; the bytes of the day are kept in memory"
            logger.warning("MATIH_API_DATADIR %s: %s", self._folder, why)
        self._broken = True


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"MATIH_API_DATADIR {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise InvalidSettings(f"MATIH_API_DATADIR {folder}: it can't be written to")


def _add(folder: Path, day: int, own: Mapping[str, int], today: int) -> tuple[int, dict[str, int]]:
    """Adds to the file under its lock; returns its day and its new contents. What is of a day gone by is let go."""
    import fcntl  # not on Windows, where no API runs

    with (folder / f"{_NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stored, told = _read(folder / _NAME)
        now = max(stored, today)
        told = told if stored == now else {}
        if day == now:
            told = _sum(told, own)
        if own or stored != now:
            _write(folder / _NAME, now, told)
        return now, told


def _read(path: Path) -> tuple[int, dict[str, int]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return int(found["day"]), {str(tenant): int(size) for tenant, size in found["bytes"].items()}
    except FileNotFoundError:
        return 0, {}
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("%s is damaged: the bytes of the day begin anew", path)
        return 0, {}


def _write(path: Path, day: int, told: Mapping[str, int]) -> None:
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_text(json.dumps({"day": day, "bytes": told}, separators=(",", ":")), encoding="utf-8")
    new.replace(path)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = dict(one)
    for name, size in other.items():
        total[name] = total.get(name, 0) + size
    return total
