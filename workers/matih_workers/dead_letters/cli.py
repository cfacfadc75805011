"""`matih dlq list|show|redrive|purge`."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json
from matih_kafka.errors import InvalidSettings, KafkaError
from matih_kafka.framing import environment_ids, reframer
from matih_kafka.recording import Reason, reason_for, record
from matih_kafka.settings import kafka_settings
from matih_schemas.errors import REASONS, InvalidName
from matih_workers.dead_letters import report
from matih_workers.dead_letters.deeds import deed
from matih_workers.dead_letters.desk import Desk
from matih_workers.dead_letters.letter import InvalidId, Letter, LetterId
from matih_workers.dead_letters.register import Selection, worth_redriving
from matih_workers.moment_option import moment_option

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from matih_schemas.codec import Reframe

T = TypeVar("T")
dlq = typer.Typer(
    add_completion=False, help="The dead letters: what could not be applied, why, and what to do with it."
)

SHOWN: Final = 50
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Letters, as `list` names them.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", help="Only this tenant's; may be repeated.")]
Runs = Annotated[list[str] | None, typer.Option("--run", help="Only of this run or experiment; may be repeated.")]
Reasons = Annotated[
    list[str] | None, typer.Option("--letter-reason", help="Only letters for this reason; may be repeated.")
]
Since = Annotated[
    str | None, typer.Option(help="Only what failed at or after: 2026-01-31, 2026-01-31T08:00, or 2h, 3d ago.")
]
Until = Annotated[str | None, typer.Option(help="Only what failed before; as --since.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without it, only what would be done is told.")]


@dlq.command(name="list")
def list_(
    tenant: Tenants = None,
    run: Runs = None,
    letter_reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=0, help="Letters to print, the latest; the counts are of all.")] = SHOWN,
    json: JsonOption = False,
) -> None:
    """The open letters: counted by tenant and reason, and the latest of them."""
    desk, selection = _desk(), _selection(None, tenant, run, letter_reason, since, until)
    register = _finish(desk.register())
    letters = register.open(selection)
    if json:
        print_json(report.as_json(letters, limit, register.settled))
    else:
        report.print_letters(letters, limit)


@dlq.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The letter, as `list` names it.")],
    value: Annotated[Path | None, typer.Option(help="Write the record's value, as it came, into this file.")] = None,
    json: JsonOption = False,
) -> None:
    """One letter: its headers, why it is one, and its event if that can be read."""
    wanted = _ids([letter])[0]
    record = _finish(_desk().record(wanted))
    if record is None:
        raise CommandFailed(f"dead letter {wanted} is not in the topic: see `matih dlq list`")
    if value is not None:
        value.write_bytes(record.value or b"")
    shown = report.details(record, _reframe())
    if json:
        print_json(shown)
    else:
        report.print_details(shown)


@dlq.command()
def redrive(
    ids: Ids = None,
    tenant: Tenants = None,
    run: Runs = None,
    letter_reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    reason: Reason = None,
    json: JsonOption = False,
) -> int:
    """Send open letters through the worker again, each run's in order. Mend the cause first."""
    desk, selection = _desk(), _selection(ids, tenant, run, letter_reason, since, until)
    why = _why("dlq redrive", reason, needed=yes)
    letters, left = worth_redriving(_open(desk, selection), selection)
    plan = {"letters": len(letters), "by_reason": _by_reason(letters), "left": _by_reason(left)}
    if not yes or not letters:
        _say_plan("redriven", plan, json=json, more=bool(letters))
        return 0
    record(deed("dlq.redrive", letters, why))
    outcomes = _finish(desk.redrive(letters, _progress(len(letters))))
    refused = {str(one.id): why for one, why in outcomes.refused}
    gone = [str(one.id) for one in outcomes.gone]
    if json:
        print_json({**plan, "redriven": outcomes.redriven, "gone": gone, "refused": refused})
    else:
        console.print(f"{outcomes.redriven} of {len(letters)} dead letters are in the events topic again")
        for name in gone:
            console.print(f"{name}: its record is in neither topic any more: it can only be purged", soft_wrap=True)
        for name, why in refused.items():
            console.print(f"{name}: {why}", soft_wrap=True)
    return 1 if gone or refused else 0


@dlq.command()
def purge(
    ids: Ids = None,
    tenant: Tenants = None,
    run: Runs = None,
    letter_reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    everything: Annotated[bool, typer.Option("--everything", help="All open letters.")] = False,
    yes: Yes = False,
    reason: Reason = None,
    json: JsonOption = False,
) -> None:
    """Give open letters up for good. Their data is in no other place than the archive and the journals, if there."""
    desk, selection = _desk(), _selection(ids, tenant, run, letter_reason, since, until)
    if selection == Selection() and not everything:
        which = "IDs, --tenant, --run, --letter-reason, --since, --until"
        raise WrongUse(f"purge: say which letters ({which}) or --everything")
    why = _why("dlq purge", reason, needed=yes)
    letters = _open(desk, selection)
    plan = {"letters": len(letters), "by_reason": _by_reason(letters)}
    if not yes or not letters:
        _say_plan("purged", plan, json=json, more=bool(letters))
        return
    record(deed("dlq.purge", letters, why))
    _finish(desk.purge(letters))
    if json:
        print_json({**plan, "purged": len(letters)})
    else:
        console.print(f"{len(letters)} dead letters are purged")


def _desk() -> Desk:
    try:
        return Desk(kafka_settings())
    except (InvalidSettings, InvalidName) as error:
        raise WrongUse(str(error)) from error


def _reframe() -> Reframe:
    try:
        return reframer(environment_ids())
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error


def _selection(
    ids: list[str] | None,
    tenant: list[str] | None,
    run: list[str] | None,
    letter_reason: list[str] | None,
    since: str | None,
    until: str | None,
) -> Selection:
    unknown = sorted(set(letter_reason or ()) - set(REASONS))
    if unknown:
        raise WrongUse(f"no reason {unknown[0]!r}: there are {', '.join(REASONS)}")
    return Selection(
        frozenset(_ids(ids or [])),
        frozenset(tenant or ()),
        frozenset(run or ()),
        frozenset(letter_reason or ()),
        moment_option("--since", since),
        moment_option("--until", until),
    )


def _why(command: str, given: str | None, *, needed: bool) -> str:
    """Why it is done; a letters' reason is none: who means only these letters would get all of them."""
    if given in REASONS:
        raise WrongUse(f"{command}: --letter-reason {given} takes the letters of this reason, --reason says why you do")
    return reason_for(command, given) if needed else ""


def _ids(texts: list[str]) -> list[LetterId]:
    try:
        return [LetterId.parse(text) for text in texts]
    except InvalidId as error:
        raise WrongUse(str(error)) from error


def _open(desk: Desk, selection: Selection) -> list[Letter]:
    """The open letters that are meant; an id that is none of them is wrong use, before anything is done."""
    letters = _finish(desk.register()).open(selection)
    missing = sorted(selection.ids - {one.id for one in letters})
    if missing:
        raise CommandFailed(
            f"{missing[0]} is no open dead letter, or the other options leave it out: see `matih dlq list`"
        )
    return letters


def _by_reason(letters: list[Letter]) -> dict[str, int]:
    return dict(Counter(one.reason for one in letters).most_common())


def _say_plan(done: str, plan: dict[str, Any], *, json: bool, more: bool) -> None:
    if json:
        print_json({**plan, "dry_run": True})
        return
    counts = ", ".join(f"{count} {reason}" for reason, count in plan["by_reason"].items())
    console.print(f"{plan['letters']} dead letters would be {done}{': ' + counts if counts else ''}", soft_wrap=True)
    for reason, count in plan.get("left", {}).items():
        console.print(
            f"{count} {reason} stay: another try can't change them (name them by --letter-reason {reason} or their ids)"
        )
    if more:
        console.print("nothing was done: add --yes and --reason TEXT")


def _progress(total: int) -> Any:
    """Tells how far it is, now and then, if somebody sits there."""
    done = 0

    def sent(more: int) -> None:
        nonlocal done
        done += more
        if sys.stderr.isatty():
            note(f"{done} of {total}")

    return sent


def _finish(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except KafkaError as error:
        raise CommandFailed(str(error)) from error
