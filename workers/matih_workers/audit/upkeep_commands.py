"""`matih audit compact|erase|rotate`: what is done to an archive by its operator, while no archiver runs on it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json
from matih_kafka.environment import secret_in
from matih_kafka.errors import InvalidSettings
from matih_kafka.operator import user_name
from matih_kafka.recording import Reason, Unrecorded, reason_for, record_if_there_is_kafka
from matih_schemas.admin_details import RUNS, listed
from matih_schemas.clock import now_ms
from matih_schemas.errors import MatihError
from matih_workers.audit import compaction, erasing, notes
from matih_workers.audit.errors import InvalidKey
from matih_workers.audit.log import LogWriter
from matih_workers.audit.options import Archive, settings_for, written
from matih_workers.audit.retention_commands import in_force, run_id
from matih_workers.audit.storage import COMPACTION, open_storage

if TYPE_CHECKING:
    from matih_kafka.admin_actions import Deed
    from matih_workers.audit.notes import PublicKey


def compact(
    archive: Archive = None,
    target: Annotated[int, typer.Option(min=1, help="MiB; files as large are left as they are.")] = 64,
    json: JsonOption = False,
) -> None:
    """Put small files of records together; those that they came from go the next time. Works beside an archiver."""
    try:
        storage = open_storage(settings_for(archive).audit_archive)
        with storage.lock(COMPACTION):
            done = compaction.compact(storage, target << 20)
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
    except MatihError as error:
        raise CommandFailed(str(error)) from error
    if json:
        print_json(done._asdict())
    else:
        console.print(f"{done.merged} files became {done.made}; {done.removed} from the last time removed")


def erase(
    reason: Reason = None,
    archive: Archive = None,
    run: Annotated[str | None, typer.Option(help="This run's records.")] = None,
    tenant: Annotated[str | None, typer.Option(help="This tenant's records; with --run, only that run's.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, only what would be done is told.")] = False,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """Take the payload out of records for good, with a certificate in the log. Kafka and MLflow keep theirs."""
    if run is None and tenant is None:
        raise WrongUse("erase: say whose records (--run, --tenant)")
    whose, why = None if run is None else run_id("erase", run), reason_for("audit erase", reason)
    with written(archive) as (storage, writer):
        choice = erasing.of_subject(erasing.Subject(whose, tenant), why)
        plan = erasing.planned(storage, writer, in_force(storage, writer.checkpoint.size), choice)
        if yes and plan.held:
            raise CommandFailed(f"nothing was erased: {_held(plan)}: `matih audit release` first, if that may be")
        if yes and plan.records:
            record_if_there_is_kafka(_deed(plan, run, tenant, why), unrecorded=unrecorded)
            erasing.erase(storage, writer, plan, user_name(), now_ms(), run)
    report = {"run": run, "tenant": tenant, "reason": why, "records": plan.records, "held": plan.kept}
    if json:
        print_json({**report, "dry_run": not yes})
        return
    if plan.held:
        console.print(f"{_held(plan)}: nothing can be erased before they are released", soft_wrap=True, markup=False)
    done = "have lost their payload, with a certificate in the log" if yes else "would lose their payload"
    console.print(f"{plan.records} records {done}{'' if yes else '; nothing was done: add --yes'}")


def rotate(
    new_key: Annotated[
        Path, typer.Option(help="The file with the new key, by `matih audit keygen` with the same name.")
    ],
    archive: Archive = None,
    reason: Reason = None,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """Let a new key sign from now on: the old one vouches for it in the log. Then give the archiver the new one."""
    why = reason_for("audit rotate", reason)
    try:
        settings = settings_for(archive)
        old, new = settings.signing_key(), notes.signing_key(secret_in(new_key))
        if new.name != old.name:
            raise WrongUse(f"the new key is of {new.name}, the log of {old.name}: `matih audit keygen {old.name}`")
        storage = open_storage(settings.audit_archive)
        with storage.lock():
            writer = LogWriter(storage, new, [old.public, *settings.accepted_keys()])
            record_if_there_is_kafka(_deed_of_rotation(old.public, new.public, why), unrecorded=unrecorded)
            writer.vouched_by(old)
    except (InvalidSettings, InvalidKey) as error:
        raise WrongUse(str(error)) from error
    except MatihError as error:
        raise CommandFailed(str(error)) from error
    if json:
        print_json({"public_key": str(new.public), "vouched_for_by": str(old.public), "reason": why})
        return
    console.print(str(new.public), soft_wrap=True, markup=False)
    note(f"from now on it signs: set MATIH_AUDIT_KEY_FILE={new_key}; who has the old public key needs no other")


def _held(plan: erasing.Plan) -> str:
    return "; ".join(f"{count} records are under {hold}" for hold, count in plan.held.items())


def _deed(plan: erasing.Plan, run: str | None, tenant: str | None, why: str) -> Deed:
    from matih_kafka.admin_actions import Deed

    subject = " of ".join(filter(None, (run and f"run {run}", tenant and f"tenant {tenant}")))
    details = {"records": str(plan.records)} | listed(RUNS, [] if run is None else [run])
    return Deed("audit.erase", subject, why, frozenset(plan.tenants), details)


def _deed_of_rotation(old: PublicKey, new: PublicKey, why: str) -> Deed:
    from matih_kafka.admin_actions import Deed

    return Deed("audit.rotate", f"log {old.name}", why, details={"old_key": str(old), "new_key": str(new)})
