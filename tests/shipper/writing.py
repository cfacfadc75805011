"""Journals as trainers write them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from matih_schemas.identity import experiment_id, new_run_id
from matih_tracking.journal import entries
from matih_tracking.journal.writer import JournalWriter

if TYPE_CHECKING:
    from pathlib import Path

START_MS = 1_750_000_000_000
TENANT = "acme"


class Trainer:
    """One process's journal, and what it has said so far.

    Attributes:
        said: the entries written, in order.
    """

    def __init__(self, spool: Path, run_id: str | None = None, owner: bool = True, rank: int | None = None, **options):
        self.journal = JournalWriter.create(spool, run_id or new_run_id(), **options)
        self.said: list[entries.Entry] = []
        experiment = experiment_id(TENANT, "exp")
        self.say(entries.Created(START_MS, TENANT, experiment, "exp", "name", owner, rank, tags={"a": "b"}, host="h1"))

    @property
    def producer_id(self) -> str:
        return self.journal.producer_id

    @property
    def run_id(self) -> str:
        return self.journal.run_id

    def say(self, entry: entries.Entry) -> None:
        self.journal.append(entries.encode(entry))
        self.said.append(entry)

    def log(self, count: int, seed: int = 0) -> None:
        """Metrics, and params and tags now and then."""
        pick = random.Random(f"{seed}-{len(self.said)}")
        for _ in range(count):
            number = len(self.said)
            time = START_MS + number
            self.say(entries.Metrics(time, number, {"loss": 1 / number, "acc": pick.random(), "lr": 1e-3}))
            if pick.random() < 0.02:
                self.say(entries.Params(time, {f"p{number}": "ü" * pick.randint(0, 50)}))
            if pick.random() < 0.02:
                self.say(entries.Tags(time, {"t": str(number)}))

    def end(self, status: str = "FINISHED") -> None:
        """Ends as a trainer does, and lets go of the journal."""
        self.say(entries.Ended(START_MS + len(self.said), status, "said so"))
        self.journal.close()

    def vanish(self) -> None:
        """Lets go of the journal as a killed process does: its files just close."""
        writer = self.journal
        writer._pid = -1
        writer.close()
