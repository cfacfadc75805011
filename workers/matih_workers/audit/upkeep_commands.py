"""`matih audit compact|erase|rotate`: what is done to an archive by its operator, while no archiver runs on it."""

from __future__ import annotations

import getpass
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json
from matih_kafka.environment import secret_in
from matih_kafka.errors import InvalidSettings
from matih_schemas.errors import MatihError
from matih_workers.audit import compaction, erasing, keys, notes
from matih_workers.audit.entries import encode
from matih_workers.audit.errors import InvalidKey
from matih_workers.audit.log import LogWriter
from matih_workers.audit.options import Archive, settings_for
from matih_workers.audit.storage import COMPACTION, open_storage


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
    reason: Annotated[str, typer.Option(help="Why: it stands in the certificate, for ever.")],
    archive: Archive = None,
    run: Annotated[str | None, typer.Option(help="This run's records.")] = None,
    tenant: Annotated[str | None, typer.Option(help="This tenant's records; with --run, only that run's.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, only what would be done is told.")] = False,
    json: JsonOption = False,
) -> None:
    """Take the payload out of records for good, with a certificate in the log. Kafka and MLflow keep theirs."""
    if (run is None and tenant is None) or not reason.strip():
        raise WrongUse("erase: say whose records (--run, --tenant) and why (--reason)")
    subject, report = erasing.Subject(run, tenant), {"run": run, "tenant": tenant, "reason": reason}
    try:
        settings = settings_for(archive)
        storage = open_storage(settings.audit_archive)
        with storage.lock(), storage.lock(COMPACTION):
            writer = LogWriter(storage, settings.signing_key(), settings.accepted_keys())
            if yes:
                now = time.time_ns() // 1_000_000
                count = erasing.erase(storage, writer, subject, getpass.getuser(), reason, now)
            else:
                count = sum(len(records) for _, records in erasing.found(storage, writer, subject))
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
    except MatihError as error:
        raise CommandFailed(str(error)) from error
    _say({**report, "records": count, "dry_run": not yes}, json=json)


def rotate(
    new_key: Annotated[
        Path, typer.Option(help="The file with the new key, by `matih audit keygen` with the same name.")
    ],
    archive: Archive = None,
    json: JsonOption = False,
) -> None:
    """Let a new key sign from now on: the old one vouches for it in the log. Then give the archiver the new one."""
    try:
        settings = settings_for(archive)
        old, new = settings.signing_key(), notes.signing_key(secret_in(new_key))
        if new.name != old.name:
            raise WrongUse(f"the new key is of {new.name}, the log of {old.name}: `matih audit keygen {old.name}`")
        storage = open_storage(settings.audit_archive)
        with storage.lock():
            writer = LogWriter(storage, new, [old.public, *settings.accepted_keys()])
            writer.commit([encode(keys.rotation(old, new.public))])
    except (InvalidSettings, InvalidKey) as error:
        raise WrongUse(str(error)) from error
    except MatihError as error:
        raise CommandFailed(str(error)) from error
    if json:
        print_json({"public_key": str(new.public), "vouched_for_by": str(old.public)})
        return
    console.print(str(new.public), soft_wrap=True, markup=False)
    note(f"from now on it signs: set MATIH_AUDIT_KEY_FILE={new_key}; who has the old public key needs no other")


def _say(report: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(report)
    elif report["dry_run"]:
        console.print(f"{report['records']} records would lose their payload; nothing was done: add --yes")
    else:
        console.print(f"{report['records']} records have lost their payload, with a certificate in the log")
