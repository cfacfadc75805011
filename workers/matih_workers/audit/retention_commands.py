"""`matih audit retain|hold|release|expire|policies`: how long records are kept, and which must be kept."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, print_json
from matih_kafka.operator import user_name
from matih_kafka.recording import Reason, Unrecorded, reason_for, record_if_there_is_kafka
from matih_schemas.admin_details import RUNS, listed
from matih_schemas.clock import now_ms
from matih_schemas.errors import InvalidName
from matih_schemas.identity import check_tenant
from matih_workers.audit import erasing, policies
from matih_workers.audit.entries import encode
from matih_workers.audit.log import Log
from matih_workers.audit.options import Archive, opened, written
from matih_workers.audit.reading import ArchiveReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.audit.policies import Hold, Policies
    from matih_workers.audit.storage import Storage

_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
Tenant = Annotated[str | None, typer.Option(help="This tenant's records.")]


def retain(
    archive: Archive = None,
    tenant: Tenant = None,
    days: Annotated[int | None, typer.Option(min=1, help="For so many days from when Kafka received them.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Take back what was stated before.")] = False,
    reason: Reason = None,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """State how long a tenant's records are kept: `expire` erases what is older. Without it they are kept for ever."""
    if tenant is None or (days is None) != forever:
        raise WrongUse("retain: say whose records (--tenant), and for how long (--days, or --forever)")
    whose, why = _tenant(tenant), reason_for("audit retain", reason)
    with written(archive) as (_, writer):
        length = "for ever" if days is None else f"for {days} days"
        _record("audit.retain", f"tenant {whose}: {length}", why, [whose], {}, unrecorded=unrecorded)
        writer.commit([encode(policies.retention(whose, days, why, user_name(), now_ms()))])
    if json:
        print_json({"tenant": whose, "days": days, "reason": why})
    else:
        console.print(f"records of tenant {whose} are kept {length}", soft_wrap=True)


def hold(
    archive: Archive = None,
    run: Annotated[str | None, typer.Option(help="This run's records.")] = None,
    tenant: Tenant = None,
    reason: Reason = None,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """Keep a run's or a tenant's records, whatever retention says and whoever erases, until `release`."""
    if run is None and tenant is None:
        raise WrongUse("hold: say whose records (--run, --tenant)")
    whose, why = None if tenant is None else _tenant(tenant), reason_for("audit hold", reason)
    one = policies.Hold(
        os.urandom(4).hex(), whose, None if run is None else run_id("hold", run), why, user_name(), now_ms()
    )
    with written(archive) as (_, writer):
        _record_hold("audit.hold", one, why, unrecorded=unrecorded)
        writer.commit([encode(policies.hold(one))])
    if json:
        print_json(one._asdict())
    else:
        console.print(f"{one}: `matih audit release {one.id}` ends it", soft_wrap=True, markup=False)


def release(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id, as `policies` shows it.")],
    archive: Annotated[str | None, typer.Option(help="A folder, or s3://bucket/folder (MATIH_AUDIT_ARCHIVE).")] = None,
    reason: Reason = None,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """End a hold."""
    why = reason_for("audit release", reason)
    with written(archive) as (storage, writer):
        one = in_force(storage, writer.checkpoint.size).holds.get(hold_id)
        if one is None:
            raise CommandFailed(f"there is no hold {hold_id}: see `matih audit policies`")
        _record_hold("audit.release", one, why, unrecorded=unrecorded)
        writer.commit([encode(policies.release(one.id, why, user_name(), now_ms()))])
    if json:
        print_json({"released": one._asdict(), "reason": why})
    else:
        console.print(f"{one} is released", soft_wrap=True, markup=False)


def expire(
    archive: Archive = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, only what would be done is told.")] = False,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """Erase what is older than its tenant's retention and under no hold, with certificates in the log."""
    with written(archive) as (storage, writer):
        found, now = in_force(storage, writer.checkpoint.size), now_ms()
        plan = erasing.planned(storage, writer, found, erasing.expired(found, now))
        if yes and plan.records:
            details = {"records": str(plan.records), "held": str(plan.kept)}
            stated = ", ".join(f"{name}: {found.retentions[name].days} days" for name in sorted(plan.tenants))
            target = f"{plan.records} records"
            _record("audit.expire", target, f"retention: {stated}", plan.tenants, details, unrecorded=unrecorded)
            erasing.erase(storage, writer, plan, user_name(), now)
    if json:
        print_json({"records": plan.records, "held": plan.kept, "dry_run": not yes})
        return
    done = "have lost" if yes else "would lose"
    console.print(f"{plan.records} records {done} their payload; {plan.kept} stay under hold")
    if not yes:
        console.print("nothing was done: add --yes")


def policies_(archive: Archive = None, json: JsonOption = False) -> None:
    """The retentions and holds that are in force, and who stated them."""
    with opened("audit policies", archive) as reading:
        checkpoint = ArchiveReader(reading.storage).checkpoint
        found = in_force(reading.storage, checkpoint.size if checkpoint else 0)
        reading.access.rows = len(found.retentions) + len(found.holds)
    if json:
        print_json(found.as_json())
        return
    for tenant, one in sorted(found.retentions.items()):
        console.print(f"tenant {tenant}: {one.days} days ({one.reason}), by {one.actor}", soft_wrap=True, markup=False)
    for held in found.holds.values():
        console.print(f"{held}, by {held.actor}", soft_wrap=True, markup=False)
    console.print(f"{len(found.retentions)} retentions, {len(found.holds)} holds; all else is kept for ever")


def in_force(storage: Storage, size: int) -> Policies:
    """The retentions and holds by the log's own entries: its shortcut proves nothing."""
    return policies.policies_of(Log(storage).entries(0, size))


def run_id(command: str, given: str) -> str:
    """A run's id as a command was given it.

    Raises:
        WrongUse: it can't be one.
    """
    if not _RUN_ID.fullmatch(given):
        raise WrongUse(f"{command}: {given!r} is no run's id: it has 32 hex characters, as `matih audit show` takes it")
    return given


def _record(
    action: str, target: str, reason: str, tenants: Iterable[str], details: dict[str, str], *, unrecorded: bool
) -> None:
    from matih_kafka.admin_actions import Deed

    record_if_there_is_kafka(Deed(action, target, reason, frozenset(tenants), details), unrecorded=unrecorded)


def _record_hold(action: str, one: Hold, why: str, *, unrecorded: bool) -> None:
    details = {"hold": one.id} | listed(RUNS, [] if one.run is None else [one.run])
    tenants = [] if one.tenant is None else [one.tenant]
    _record(action, str(one), why, tenants, details, unrecorded=unrecorded)


def _tenant(given: str) -> str:
    try:
        return check_tenant(given)
    except InvalidName as error:
        raise WrongUse(str(error)) from error
