"""Dead letters in an archive go and stay with their runs: what retention, holds and erasures say is by the key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.audit.test_events import RECEIVED, command, report
from tests.audit.test_policies import WHY, written_for
from tests.audit.test_recovery import KEY, TOPIC_ID
from tests.audit.test_verification import verified
from tests.workers.journals import Producer
from tests.workers.test_dlq_register import died, stored

from matih_schemas.topics import dead_letter_name
from matih_workers.audit.batch import Batch, Topic
from matih_workers.audit.log import LogWriter
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.record import ArchivedRecord
from matih_workers.dead_letters.letter import Place, letter
from matih_workers.dead_letters.register import settlement

if TYPE_CHECKING:
    from pathlib import Path

    from matih_kafka.publisher import Record
    from matih_workers.audit.storage import LocalFolder

LETTERS = Topic(TOPIC_ID.cluster_id, "letters-id", dead_letter_name(TOPIC_ID.name))


def add_letters(storage: LocalFolder, *who: Producer) -> None:
    """Archives of each run one letter, and the note that it was purged."""
    records: list[Record] = []
    for one in who:
        dead = died(Place(TOPIC_ID.name, 0, 7), subject=f"{one.tenant}/{one.run_id}", at=RECEIVED)
        kept = letter(stored(dead, 0, len(records)))
        records += [dead, settlement(kept, dead.key, "purged", "ann@node")]
    writer = LogWriter(storage, KEY)
    batch = Batch([TOPIC_ID, LETTERS], writer.state)
    batch.add(LETTERS.partition(0), [archived(offset, record) for offset, record in enumerate(records)])
    storage.write(batch.files())
    writer.commit(batch.entries())


def archived(offset: int, record: Record) -> ArchivedRecord:
    return ArchivedRecord(offset, RECEIVED + offset, 0, record.key, record.value, tuple(record.headers))


def letters_of(storage: LocalFolder) -> list[str | None]:
    """Whose letters and notes still say something, by tenant and run; None for each that is erased."""
    records = ArchiveReader(storage).records(*LETTERS.partition(0), 0, 100)
    return [None if one.erased else (one.key or b"").decode() for one in records]


def test_letters_expire_with_their_tenant_and_are_held_with_their_run(storage: LocalFolder, tmp_path: Path) -> None:
    held, gone, other = Producer(tenant="acme"), Producer(tenant="acme"), Producer(tenant="more")
    written_for(storage, held, gone, other)
    add_letters(storage, held, gone, other)
    hold = report(tmp_path, "hold", "--run", held.run_id, "--reason", "lawsuit 7")["id"]
    report(tmp_path, "retain", "--tenant", "acme", "--days", "30", *WHY)
    assert report(tmp_path, "expire", "--yes") == {"records": 4, "held": 4, "dry_run": False}
    stays = [f"acme/{held.run_id}"] * 2
    assert letters_of(storage) == [*stays, None, None, *([f"more/{other.run_id}"] * 2)]
    assert "4 records" in command(tmp_path, "erase", "--run", held.run_id, *WHY, "--yes", code=1)
    assert letters_of(storage)[:2] == stays
    report(tmp_path, "release", hold, *WHY)
    assert report(tmp_path, "expire", "--yes")["records"] == 4
    assert letters_of(storage) == [None] * 4 + [f"more/{other.run_id}"] * 2
    assert (verified(storage).findings, verified(storage).erased) == ([], 8)


def test_letters_are_erased_with_their_run(storage: LocalFolder, tmp_path: Path) -> None:
    gone, other = Producer(tenant="acme"), Producer(tenant="acme")
    written_for(storage, gone, other)
    add_letters(storage, gone, other)
    assert report(tmp_path, "erase", "--run", gone.run_id, *WHY, "--yes")["records"] == 4
    assert letters_of(storage) == [None, None, *([f"acme/{other.run_id}"] * 2)]
    assert verified(storage).whole
    told = report(tmp_path, "show", other.run_id)["events"]
    assert [one["dead_letter"] != "" for one in told].count(True) == 2
    assert {one["applied"] for one in told if one["dead_letter"]} == {None}


def test_letters_are_found_by_the_experiment_of_their_run(storage: LocalFolder, tmp_path: Path) -> None:
    mine, other = Producer(tenant="acme", experiment="mine"), Producer(tenant="acme", experiment="other")
    written_for(storage, mine, other)
    add_letters(storage, mine, other)
    found = command(tmp_path, "export", "--dead-letters", "--experiment", "mine").splitlines()
    assert [json.loads(line)["offset"] for line in found] == [0, 1]
