"""`matih audit check`: whether a proof holds, for who has it and a public key, and nothing else."""

from __future__ import annotations

import json as jsons
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, print_json
from matih_kafka.errors import InvalidSettings
from matih_kafka.framing import environment_ids, reframer
from matih_schemas.errors import MatihError
from matih_workers.audit import checking, exporting
from matih_workers.audit.events import archived_event
from matih_workers.audit.settings import audit_settings
from matih_workers.audit.tables import moment, who
from matih_workers.audit.verify_commands import PublicKeys, public_keys

if TYPE_CHECKING:
    from matih_workers.audit.checking import Checked
    from matih_workers.audit.events import ArchivedEvent


def check(
    proof: Annotated[str, typer.Argument(metavar="PROOF", help="The file that `matih audit prove` made; - is stdin.")],
    public_key: PublicKeys = None,
    record: Annotated[
        Path | None, typer.Option(help="What you have of it yourself: a line of a JSON export, or the record's bytes.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="The checkpoint that you kept.")] = None,
    json: JsonOption = False,
) -> int:
    """Check a proof that you were given. It needs a public key; one of `prove --since` the checkpoint you kept, too."""
    try:
        keys = public_keys(audit_settings(), public_key)
        found = checking.check(_proof(proof), keys, None if checkpoint is None else _read(checkpoint))
        event = _event(found, is_letter=False)
        if record is not None:
            _hold_against(found, _read(record))
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
    except checking.InvalidProof as error:
        raise CommandFailed(f"{proof}: {error}") from error
    except MatihError as error:
        raise CommandFailed(str(error)) from error
    if json:
        print_json(_as_json(found, event))
    else:
        _print(found, event)
    return 0 if found.proven else 1


def _hold_against(found: Checked, given: bytes) -> None:
    """Holds what somebody has of the record against the proof's."""
    row = _row(given)
    if row is None:
        checking.check_bytes(found, given)
        return
    event = _event(found, is_letter=bool(row.get("dead_letter")))
    if event is None:
        found.problems.append("the proof has no record that the row could be held against")
        return
    is_, should = row, exporting.json_row(event)
    other = sorted(name for name in {*is_, *should} if name in should and is_.get(name) != should[name])
    if other:
        found.problems.append(f"the row says something else than the record: {', '.join(other)}")


def _event(found: Checked, *, is_letter: bool) -> ArchivedEvent | None:
    if found.record is None or found.entry is None:
        return None
    return archived_event(found.entry.partition, found.record, reframer(environment_ids()), is_letter=is_letter)


def _row(given: bytes) -> dict[str, Any] | None:
    """The row of an export; None if these are a record's bytes."""
    try:
        row = jsons.loads(given)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _proof(place: str) -> Any:
    try:
        return jsons.loads(sys.stdin.read() if place == "-" else _read(Path(place)))
    except ValueError as error:
        raise CommandFailed(f"{place}: it is no JSON: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from error


def _as_json(found: Checked, event: ArchivedEvent | None) -> dict[str, Any]:
    entry, log = found.entry, found.checkpoint
    return {
        "proven": found.proven,
        "problems": found.problems,
        "checkpoint": {"origin": log.origin, "size": log.size, "root": log.root.hex()},
        "signed_by": found.signed_by,
        "place": None if entry is None else {**entry.partition._asdict(), "offset": entry.offset},
        "record_sha256": None if entry is None else entry.digest.hex(),
        "row": None if event is None else exporting.json_row(event),
        "old_size": found.old_size or None,
    }


def _print(found: Checked, event: ArchivedEvent | None) -> None:
    entry, log = found.entry, found.checkpoint
    _say(f"log {log.origin}, {log.size} entries, root {log.root.hex()}")
    if found.signed_by:
        _say(f"signed by {found.signed_by}")
    if entry is not None:
        _say(f"entry {found.index}: {entry.partition}, offset {entry.offset}, SHA-256 {entry.digest.hex()}")
        _say("the proof has no record: only its hash is proven" if event is None else _told(event))
    else:
        _say(f"it goes on from its first {found.old_size} entries")
    for problem in found.problems:
        console.print(problem, style="red", soft_wrap=True, markup=False)
    console.print("proven" if found.proven else "NOT proven", style="bold")


def _told(one: ArchivedEvent) -> str:
    row, key = exporting.row(one), (one.record.key or b"").decode("utf-8", "replace")
    by = who(row["actor"], row["claimed_user"])
    what = f"unreadable: {one.unreadable}" if one.event is None else f"{row['kind']} {row['event_id']} by {by}"
    return f"the record: {moment(one.record.timestamp)}, key {key}, {what}"


def _say(line: str) -> None:
    console.print(line, soft_wrap=True, markup=False)
