"""`matih audit gaps`: what is missing in an archive, as far as that can be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_console.output import JsonOption, console, print_json
from matih_workers.audit.completeness import Sequences
from matih_workers.audit.entries import GapEntry, decode
from matih_workers.audit.event_commands import Tenants, events_of
from matih_workers.audit.events import Selection
from matih_workers.audit.log import Log
from matih_workers.audit.options import Archive, opened
from matih_workers.audit.reading import ArchiveReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matih_workers.audit.checkpoint import Checkpoint
    from matih_workers.audit.completeness import SequenceGap, UnprovenRun
    from matih_workers.audit.storage import Storage

SHOWN: Final = 100


def gaps(archive: Archive = None, tenant: Tenants = None, json: JsonOption = False) -> int:
    """What is missing: offsets that the archive lacks, and numbers of producers that no event has. 1 if unexplained."""
    with opened("audit gaps", archive, tenant=tenant) as reading:
        reader, sequences, unreadable = ArchiveReader(reading.storage), Sequences(), 0
        absent = list(_absent(reading.storage, reader.checkpoint))
        for one in events_of(reader, Selection(tenants=frozenset(tenant or ()), erased=True)):
            sequences.take(one)
            unreadable += one.event is None and one.record.erased is None
        found, unproven = sequences.gaps(absent), sequences.unproven()
        reading.access.rows = len(absent) + len(found) + len(unproven)
    unexplained = sum(not gap.reason for gap in found)
    if json:
        print_json(
            {
                "offsets": [{**gap._asdict(), "partition": str(gap.partition)} for gap in absent],
                "numbers": [gap.as_json() for gap in found],
                "unproven": [run.as_json() for run in unproven],
                "dropped": sequences.dropped,
                "erased": sequences.erased,
                "unreadable": unreadable,
            }
        )
    else:
        _print_found(absent, found, sequences.dropped)
        _print_unproven(unproven)
        _print_counts(absent, found, unproven)
    return 1 if unexplained else 0


def _absent(storage: Storage, checkpoint: Checkpoint | None) -> Iterator[GapEntry]:
    for entry in Log(storage).entries(0, checkpoint.size) if checkpoint else ():
        found = decode(entry)
        if isinstance(found, GapEntry):
            yield found


def _print_found(absent: Iterable[GapEntry], found: Iterable[SequenceGap], dropped: dict[str, str]) -> None:
    for gap in absent:
        console.print(f"{gap.partition}: offsets {gap.first} to {gap.end - 1}: {gap.reason}", soft_wrap=True)
    for run in sorted(found, key=lambda gap: bool(gap.reason))[:SHOWN]:
        where = f"{run.tenant}/{run.run_id}: producer {run.producer_id}: numbers {run.first} to {run.end - 1}"
        told = f"unproven: {run.reason}" if run.unproven else run.reason or "nobody knows why"
        console.print(f"{where}: {told}", soft_wrap=True, markup=False)
    for run_id, counts in dropped.items():
        console.print(f"{run_id}: dropped by its own process: {counts}", soft_wrap=True, markup=False)


def _print_unproven(unproven: Sequence[UnprovenRun]) -> None:
    for run in unproven[:SHOWN]:
        who = f"{run.tenant}/{run.run_id}: producer {run.producer_id} on host {run.host or '-'}"
        console.print(f"{who}: unproven: {run.why}", soft_wrap=True, markup=False)
    if unproven:
        console.print(
            "what is unproven may lack its last entries: run `matih sync` on that host, or `matih sync SPOOL` on a "
            "copy of its spool, and ask again",
            soft_wrap=True,
        )


def _print_counts(absent: Sequence[GapEntry], found: Sequence[SequenceGap], unproven: Sequence[UnprovenRun]) -> None:
    of_api, unexplained = sum(gap.unproven for gap in found), sum(not gap.reason for gap in found)
    numbers = f"{len(found)} of numbers ({len(found) - of_api - unexplained} explained, {of_api} unproven)"
    console.print(f"{len(absent)} gaps of offsets, {numbers}, {unexplained} without a reason", soft_wrap=True)
    console.print(f"{len({run.run_id for run in unproven})} runs unproven")
