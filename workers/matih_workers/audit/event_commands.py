"""`matih audit show|tail|export`: an auditor's questions, answered from the archive alone."""

from __future__ import annotations

import heapq
import sys
import time
from dataclasses import replace
from enum import Enum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json
from matih_kafka.errors import InvalidSettings
from matih_kafka.framing import environment_ids, reframer
from matih_schemas.events import AdminAction
from matih_workers.audit import exporting
from matih_workers.audit.applied import Applied, ask_store
from matih_workers.audit.events import ArchivedEvent, Experiments, Selection, archived_events, in_time
from matih_workers.audit.history import History, Step
from matih_workers.audit.options import Archive, opened
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.tables import moment, who
from matih_workers.moment_option import moment_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matih_workers.audit.partition import PartitionId

FOLLOW_SECONDS: Final = 0.5
Tenants = Annotated[list[str] | None, typer.Option("--tenant", help="Only this tenant's; may be repeated.")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Only of this kind, as RunEnded; may be repeated.")]
Actors = Annotated[
    list[str] | None,
    typer.Option("--actor", help="Only by this principal, or, of who has none, this claimed user; may be repeated."),
]
OfExperiment = Annotated[
    list[str] | None,
    typer.Option("--experiment", help="Only about this experiment and its runs, by id or name; may be repeated."),
]
Runs = Annotated[list[str] | None, typer.Option("--run", help="Only what is about this run; may be repeated.")]
From = Annotated[
    str | None, typer.Option("--from", help="Received at or after: 2026-01-31, 2026-01-31T08:00Z, 2h, 3d ago.")
]
To = Annotated[str | None, typer.Option("--to", help="Received before; as --from.")]

DeadLetters = Annotated[
    bool, typer.Option("--dead-letters", help="What never reached MLflow, and why, in place of the events.")
]


class Format(str, Enum):
    """Which form the rows have."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID")],
    archive: Annotated[str | None, typer.Option(help="A folder, or s3://bucket/folder (MATIH_AUDIT_ARCHIVE).")] = None,
    tenant: Tenants = None,
    json: JsonOption = False,
) -> None:
    """A run's whole history: who, what, when, from which host, what was there before, and what never reached MLflow."""
    selection = Selection(tenants=frozenset(tenant or ()), runs=frozenset([run_id]), dead_letters=None)
    history = History()
    with opened("audit show", archive, run=run_id, tenant=tenant) as reading:
        reader = ArchiveReader(reading.storage)
        found = list(in_time(events_of(reader, selection)))
        steps = [history.step(one) for one in found]
        reading.access.rows = len(steps)
    if not steps:
        raise CommandFailed(
            f"run {run_id} is not in the archive, or erased (see `matih audit certificates`): is the id whole, and has "
            "the archiver come so far?"
        )
    said = ask_store({one.partition for one in found if not one.dead_letter}, reader.topics())
    steps = [_with_applied(step, said, one) for step, one in zip(steps, found, strict=True)]
    if json:
        print_json({"run_id": run_id, "events": [step.as_json() for step in steps], "applied": said.why})
        return
    for step in steps:
        _print_step(step)
    console.print(f"applied: {said.why}", soft_wrap=True, markup=False)


def tail(
    archive: Archive = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Events to begin with, the latest.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    tenant: Tenants = None,
    kind: Kinds = None,
    actor: Actors = None,
    experiment: OfExperiment = None,
    run: Runs = None,
    dead_letters: DeadLetters = False,
    json: JsonOption = False,
) -> None:
    """The archive's latest events, in the order in which Kafka received them; with --json one object a line."""
    selection = _selection(tenant, kind, actor, run, None, None, dead_letters=dead_letters)
    asked = {"tenant": tenant, "kind": kind, "actor": actor, "experiment": experiment, "run": run}
    experiments = Experiments(experiment or ())
    shown = {"lines": lines, "follow": follow, "dead_letters": dead_letters}
    with opened("audit tail", archive, **shown, **asked) as reading:
        reader, access = ArchiveReader(reading.storage), reading.access
        latest = heapq.nlargest(lines, events_of(reader, selection, experiments=experiments), key=_received)
        access.rows = _print_events(reversed(latest), json=json)
        while follow:
            time.sleep(FOLLOW_SECONDS)
            now = ArchiveReader(reading.storage)
            if now.checkpoint != reader.checkpoint:
                come = sorted(events_of(now, selection, reader.ends(), experiments), key=_received)
                access.rows += _print_events(come, json=json)
                reader = now


def export(
    archive: Archive = None,
    format_: Annotated[Format, typer.Option("--format", help="The rows' form.")] = Format.jsonl,
    out: Annotated[Path | None, typer.Option(help="The file; without it they go to stdout.")] = None,
    tenant: Tenants = None,
    kind: Kinds = None,
    actor: Actors = None,
    experiment: OfExperiment = None,
    run: Runs = None,
    dead_letters: DeadLetters = False,
    since: From = None,
    until: To = None,
) -> None:
    """The archive's events as rows, for other tools: docs/guides/audit.md says what the columns mean."""
    selection = _selection(tenant, kind, actor, run, since, until, dead_letters=dead_letters)
    if format_ is Format.parquet and out is None:
        raise WrongUse("export: a Parquet file needs a name: give --out FILE")
    asked = {"tenant": tenant, "kind": kind, "actor": actor, "experiment": experiment, "run": run}
    form = {"from": since, "to": until, "format": format_.value, "out": out, "dead_letters": dead_letters}
    with opened("audit export", archive, **form, **asked) as reading:
        try:
            reader, experiments = ArchiveReader(reading.storage), Experiments(experiment or ())
            count = _export(events_of(reader, selection, experiments=experiments), format_, out)
        except ModuleNotFoundError as error:
            raise CommandFailed(f"{error.name} is not installed: pip install 'matih-tracking[reads]'") from error
        except OSError as error:
            raise CommandFailed(f"{out}: {error.strerror}") from error
        reading.access.rows = count
    note(f"{count} events")


def _export(events: Iterator[ArchivedEvent], format_: Format, out: Path | None) -> int:
    if format_ is Format.parquet:
        assert out is not None
        return exporting.write_parquet(events, out)
    write = exporting.write_csv if format_ is Format.csv else exporting.write_jsonl
    if out is None:
        return write(events, sys.stdout)
    with out.open("w", encoding="utf-8", newline="") as file:
        return write(events, file)


def _print_events(events: Iterable[ArchivedEvent], *, json: bool) -> int:
    """Prints them; returns how many."""
    count = 0
    for one in events:
        _print_event(one, json=json)
        count += 1
    return count


def events_of(
    reader: ArchiveReader,
    selection: Selection,
    after: dict[PartitionId, int] | None = None,
    experiments: Experiments | None = None,
) -> Iterator[ArchivedEvent]:
    """The wanted events, in both framings."""
    try:
        reframe = reframer(environment_ids())
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
    return archived_events(reader, selection, after, reframe, experiments)


def _received(one: ArchivedEvent) -> tuple[int, str]:
    return one.record.timestamp, one.place


def _print_event(one: ArchivedEvent, *, json: bool) -> None:
    row = exporting.row(one)
    if json:
        print_json(row)
        return
    by = row["actor"] or row["claimed_user"] or "-"
    payload = one.event.payload if one.event else None
    about = row["run_id"] or row["experiment_id"] or "-"
    if isinstance(payload, AdminAction):
        about = f"{payload.action} {payload.target} ({payload.reason})"
    what = row["kind"] or (f"unreadable: {one.unreadable}" if one.unreadable else "-")
    line = f"{moment(one.record.timestamp)} {one.place:<12} {row['tenant'] or '-'} {what} {about} by {by}"
    line += f": {one.dead_letter}" if one.dead_letter else ""
    console.print(line, soft_wrap=True, markup=False)


def _print_step(step: Step) -> None:
    if step.dead_letter:
        of = f"{step.kind or 'event'} " if step.event_id else ""
        console.print(f"dead letter {step.place}  {of}{step.dead_letter}", soft_wrap=True, markup=False)
        return
    times = f"occurred {moment(step.occurred_at)}, received {moment(step.received_at)}, applied {_applied(step)}"
    console.print(f"{step.place}  {step.kind or step.unreadable}  {times}", soft_wrap=True, markup=False)
    console.print(
        f"    by {who(step.actor, step.claimed_user)}, host {step.host or '-'}, event {step.event_id}",
        soft_wrap=True,
        markup=False,
    )
    for change in step.changes:
        before = "" if change.previous is None else f" (before: {change.previous})"
        console.print(f"    {change.of} {change.key} = {change.value}{before}", soft_wrap=True, markup=False)


def _with_applied(step: Step, said: Applied, one: ArchivedEvent) -> Step:
    place = (one.partition, one.record.offset)
    window = said.window(*place)
    after, by = (None, None) if window is None else window
    return replace(step, applied=said.is_applied(*place), applied_after=after, applied_by=by)


def _applied(step: Step) -> str:
    if not step.applied:
        return "-" if step.applied is None else "no"
    if step.applied_by is None:
        return "yes"
    after = "" if step.applied_after is None else f", after {moment(step.applied_after)}"
    return f"by {moment(step.applied_by)}{after}"


def _selection(
    tenant: list[str] | None,
    kind: list[str] | None,
    actor: list[str] | None,
    run: list[str] | None,
    since: str | None,
    until: str | None,
    *,
    dead_letters: bool,
) -> Selection:
    return Selection(
        tenants=frozenset(tenant or ()),
        actors=frozenset(actor or ()),
        kinds=frozenset(kind or ()),
        runs=frozenset(run or ()),
        since=moment_option("--from", since),
        until=moment_option("--to", until),
        dead_letters=dead_letters,
    )
