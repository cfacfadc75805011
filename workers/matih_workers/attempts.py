"""Which events the worker was at when it was killed: kept on disk, so that one that kills it ends as a dead letter.

Before a batch is applied its place is written down; when it is done that note goes away. A note that a new process
finds was left by one that died over it. What it names is taken one by one from then on, each with a note of its own,
until the one that kills the worker has done so often enough.
"""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import quote

from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matih_workers.records import Received

_NOTE: Final = "in-flight.json"
_SUSPECTS: Final = "suspects.json"
_SLOTS_MAX: Final = 1000


class FolderUnusable(MatihError):
    """The worker's folder can't be used; the message says why."""


@dataclass(frozen=True)
class Span:
    """Consecutive records of a partition, and how many processes died while they applied them.

    Attributes:
        checksum: of the one record; None for more than one.
    """

    topic: str
    partition: int
    first: int
    last: int
    deaths: int
    checksum: int | None = None

    @property
    def place(self) -> tuple[object, ...]:
        """Which records these are."""
        return self.topic, self.partition, self.first, self.last, self.checksum

    def holds(self, record: Received) -> bool:
        """Whether the record is one of these."""
        same = (self.topic, self.partition) == (record.topic, record.partition)
        return same and self.first <= record.offset <= self.last and self.checksum in {None, record.checksum}


class Attempts:
    """The notes of one worker process, in a folder that no other one uses at the same time."""

    def __init__(self, folder: Path) -> None:
        """Reads what an earlier process left in the folder."""
        self._folder = folder
        self._suspects = _load(folder / _SUSPECTS)
        died_over = _load(folder / _NOTE)
        if died_over:
            self._suspects = [*died_over, *(span for span in self._suspects if span.place not in _places(died_over))]
            self._save()
        (folder / _NOTE).unlink(missing_ok=True)

    def deaths(self, record: Received) -> int:
        """How many processes died over this record, alone or with others."""
        return max((span.deaths for span in self._suspects if span.holds(record)), default=0)

    @contextmanager
    def noted(self, records: Sequence[Received]) -> Iterator[None]:
        """Keeps a note while the records are applied; it stays if the process does not come back."""
        note = self._folder / _NOTE
        _write(note, [asdict(span) for span in self._spans(records)])
        try:
            yield
        finally:
            note.unlink(missing_ok=True)

    def let_go(self) -> None:
        """Removes the note although its records are not done: this process ends on purpose, they did not kill it."""
        (self._folder / _NOTE).unlink(missing_ok=True)

    def settled(self, records: Sequence[Received]) -> None:
        """These are done: nobody dies over them any more."""
        if not self._suspects:
            return
        done = {(record.topic, record.partition): record.offset for record in records}
        left = [span for span in self._suspects if done.get((span.topic, span.partition), -1) < span.last]
        if left != self._suspects:
            self._suspects = left
            self._save()

    def _spans(self, records: Sequence[Received]) -> list[Span]:
        """What to note: the records by partition, with one death more than so far."""
        by_partition: dict[tuple[str, int], list[Received]] = {}
        for record in records:
            by_partition.setdefault((record.topic, record.partition), []).append(record)
        return [_span(some, self.deaths(some[0]) + 1) for some in by_partition.values()]

    def _save(self) -> None:
        _write(self._folder / _SUSPECTS, [asdict(span) for span in self._suspects])


def open_slot(datadir: Path, group: str) -> tuple[Path, IO[bytes]]:
    """A folder for this process alone: the first that no living worker of this group holds, so a restart gets its own.

    Returns:
        The folder, and the open file whose lock holds it: keep it open.

    Raises:
        FolderUnusable: it can't be made or written to.
    """
    for number in range(_SLOTS_MAX):
        folder = datadir / quote(group, safe="") / str(number)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (folder / "lock").open("ab")
        except OSError as error:
            raise FolderUnusable(
                f"the worker's folder {folder}: {error.strerror}; name another in MATIH_WORKER_DATADIR"
            ) from error
        if _locked(lock):
            return folder, lock
        lock.close()
    raise FolderUnusable(f"{datadir}: {_SLOTS_MAX} workers hold folders there; name another in MATIH_WORKER_DATADIR")


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _span(records: Sequence[Received], deaths: int) -> Span:
    first, last = records[0], records[-1]
    checksum = first.checksum if first is last else None
    return Span(first.topic, first.partition, first.offset, last.offset, deaths, checksum)


def _places(spans: Sequence[Span]) -> set[tuple[object, ...]]:
    return {span.place for span in spans}


def _load(path: Path) -> list[Span]:
    """The spans in a file; none if there is none, or if it is not ours to read."""
    try:
        return [Span(**item) for item in json.loads(path.read_text(encoding="utf-8"))]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def _write(path: Path, spans: list[dict[str, object]]) -> None:
    """Replaces the file: a process killed in between leaves the old one."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(spans), encoding="utf-8")
    beside.replace(path)
