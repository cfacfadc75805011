"""Reads back what processes have logged, from the journals of a spool folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from matih_tracking.journal.entries import Created, Ended, Experiment, Metrics, Params, Tags, decode
from matih_tracking.journal.reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.journal.entries import Entry


class Journal(NamedTuple):
    """One journal, read to its end."""

    run_id: str
    producer_id: str
    entries: list[Entry]

    @property
    def created(self) -> Created:
        assert isinstance(self.entries[0], Created), self.entries[:1]
        return self.entries[0]

    @property
    def points(self) -> list[tuple[str, float, int]]:
        """All metric points, in their order: key, value, step."""
        return [(key, value, m.step) for m in self.of(Metrics) for key, value in m.metrics.items()]

    @property
    def params(self) -> list[tuple[str, str]]:
        return [pair for entry in self.of(Params) for pair in entry.params.items()]

    @property
    def tags(self) -> dict[str, str]:
        return {key: value for entry in self.of(Tags) for key, value in entry.tags.items()}

    @property
    def ended(self) -> Ended | None:
        """The end, which is the last entry if there is one."""
        ends = self.of(Ended)
        assert ends in ([], self.entries[-1:]), ends
        return ends[0] if ends else None

    @property
    def status(self) -> str | None:
        return self.ended.status if self.ended else None

    @property
    def dropped(self) -> dict[str, int]:
        return json.loads(self.tags.get("matih.dropped", "{}"))

    @property
    def changed(self) -> dict[str, int]:
        return json.loads(self.tags.get("matih.changed", "{}"))

    def of(self, kind):
        return [entry for entry in self.entries if isinstance(entry, kind)]


def read(folder: Path) -> Journal:
    """Reads one journal's folder."""
    reader = JournalReader(folder)
    payloads: list[bytes] = []
    while batch := reader.read().payloads:
        payloads += batch
    header = reader.header
    reader.close()
    return Journal(header.run_id, header.producer_id, [decode(payload) for payload in payloads])


def journals(base: Path) -> list[Journal]:
    """All journals below a folder, those of runs, in the order of their beginnings."""
    found = [journal for journal in _all(base) if not isinstance(journal.entries[0], Experiment)]
    return sorted(found, key=lambda journal: journal.created.time)


def experiments(base: Path) -> list[Experiment]:
    """The experiments in all journals without a run."""
    return [entry for journal in _all(base) for entry in journal.of(Experiment)]


def only(base: Path) -> Journal:
    """The one journal of a run below a folder."""
    (journal,) = journals(base)
    return journal


def _all(base: Path) -> list[Journal]:
    folders = [folder for place in base.rglob("journals") for folder in place.iterdir()]
    return [journal for folder in folders if (journal := read(folder)).entries]
