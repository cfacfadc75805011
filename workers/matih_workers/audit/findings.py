"""What a verification found, and how offsets are told in few lines. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.audit.checkpoint import Checkpoint
    from matih_workers.audit.entries import GapEntry
    from matih_workers.audit.partition import PartitionId

What = Literal[
    "changed",
    "missing",
    "surplus",
    "out of order",
    "unreadable",
    "hole",
    "log",
    "signature",
    "history",
    "erased without a certificate",
]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written.

    Attributes:
        what: which kind of thing.
        file: the file, from the archive's root; empty if there is none.
        partition: whose offsets are told.
        offsets: the first and the last that it is about.
        detail: for people.
    """

    what: What
    file: str
    detail: str
    partition: PartitionId | None = None
    offsets: tuple[int, int] | None = None

    def __str__(self) -> str:
        where = self.file or str(self.partition or "log")
        if self.offsets is None:
            return f"{where}: {self.what}: {self.detail}"
        first, last = self.offsets
        return f"{where}: offset {first}{f' to {last}' if last > first else ''}: {self.what}: {self.detail}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"partition": None if self.partition is None else str(self.partition)}


@dataclass
class Report:
    """What was looked at, and what was found.

    Attributes:
        checkpoint: what was verified; None if there is none.
        signed_by: the key that signed it.
        records, bytes, files, entries: how much was looked at; bytes are of records, before compression.
        erased: records whose payload was erased, with a certificate.
        gaps: what the log itself says is not there, and why.
        earlier: checkpoints that the log is consistent with, by where they came from.
        uncounted: files beyond the checkpoint: an archiver at work, or one that was killed.
        superseded: files that a longer one has taken the place of.
    """

    checkpoint: Checkpoint | None = None
    signed_by: str = ""
    records: int = 0
    bytes: int = 0
    files: int = 0
    entries: int = 0
    erased: int = 0
    gaps: list[GapEntry] = field(default_factory=list)
    earlier: int = 0
    uncounted: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether everything is as it was written."""
        return not self.findings

    def add(self, what: What, file: str, detail: str) -> None:
        """Notes a finding about a file as a whole."""
        self.findings.append(Finding(what, file, detail))

    def add_offsets(self, what: What, file: str, partition: PartitionId, offsets: Iterable[int], detail: str) -> None:
        """Notes findings about offsets; one for each run of them, joined to the finding before it."""
        for first, last in runs(offsets):
            before = self.findings[-1] if self.findings else None
            found = Finding(what, file, detail, partition, (first, last))
            if before is not None and before.offsets is not None and _continues(before, found):
                self.findings[-1] = Finding(what, file, detail, partition, (before.offsets[0], last))
            else:
                self.findings.append(found)


def runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """The offsets as first and last of each unbroken run, in order."""
    found: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if found and offset == found[-1][1] + 1:
            found[-1] = (found[-1][0], offset)
        else:
            found.append((offset, offset))
    return found


def _continues(before: Finding, found: Finding) -> bool:
    assert before.offsets is not None
    assert found.offsets is not None
    same = (before.what, before.file, before.partition) == (found.what, found.file, found.partition)
    return same and before.offsets[1] + 1 == found.offsets[0]
