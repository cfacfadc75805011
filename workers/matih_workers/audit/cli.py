"""`matih audit`: the archiver and its key; what reads an archive stands in the commands beside."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json
from matih_kafka.errors import InvalidSettings
from matih_kafka.settings import KafkaSettings, kafka_settings
from matih_schemas.errors import MatihError
from matih_workers.audit import notes
from matih_workers.audit.account_commands import accesses, certificates
from matih_workers.audit.check_commands import check
from matih_workers.audit.errors import InvalidKey
from matih_workers.audit.event_commands import export, show, tail
from matih_workers.audit.gaps_command import gaps
from matih_workers.audit.options import Archive, settings_for
from matih_workers.audit.retention_commands import expire, hold, policies_, release, retain
from matih_workers.audit.storage import open_storage
from matih_workers.audit.upkeep_commands import compact, erase, rotate
from matih_workers.audit.verify_commands import prove, verify

if TYPE_CHECKING:
    from matih_workers.audit.archiver import Archiver
    from matih_workers.audit.settings import AuditSettings

audit = typer.Typer(add_completion=False, help="The archive of all events that proves itself.")
_ASKING = (verify, prove, check, gaps, show, tail, export, certificates, accesses)
for _command in (*_ASKING, compact, erase, rotate, retain, hold, release, expire):
    audit.command()(_command)
audit.command(name="policies")(policies_)


@audit.command()
def archive(
    archive: Archive = None,
    port: Annotated[int | None, typer.Option(help="Port of the pages (MATIH_AUDIT_PORT); 0: any.")] = None,
) -> None:
    """Carry every record of the events topic into the archive, until it is told to stop (SIGTERM, Ctrl-C)."""
    from matih_workers.cli import log_to_stderr, settle_interpreter

    log_to_stderr()
    settle_interpreter()
    try:
        settings = settings_for(archive)
        if port is not None:
            settings = settings.model_copy(update={"audit_port": port})
        asyncio.run(_archive(settings, kafka_settings()))
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
    except MatihError as error:
        raise CommandFailed(str(error)) from error


@audit.command()
def keygen(
    name: Annotated[str, typer.Argument(help="The log's name, without spaces, as example.com/team/audit.")],
    out: Annotated[Path, typer.Option(help="The file for the key; it must not be there yet.")],
    json: JsonOption = False,
) -> None:
    """Make the key that signs an archive's checkpoints. Its public half is for who verifies."""
    try:
        key = notes.new_key(name)
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except InvalidKey as error:
        raise WrongUse(str(error)) from error
    except OSError as error:
        raise CommandFailed(f"key file {out}: {error.strerror}: name one that is not there yet") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key.secret() + "\n")
    if json:
        print_json({"key_file": str(out), "public_key": str(key.public)})
        return
    console.print(str(key.public), soft_wrap=True, markup=False)
    note(f"the key is in {out}: keep it away from the archive; give the line above to whoever verifies")


async def _archive(settings: AuditSettings, kafka: KafkaSettings) -> None:
    from matih_workers.audit.archiver import Archiver
    from matih_workers.audit.pages import Pages

    archiver = Archiver(settings, kafka, open_storage(settings.audit_archive))
    pages = Pages(archiver)
    port = await pages.start(settings.audit_host, settings.audit_port)
    note(f"metrics at http://{settings.audit_host}:{port}/metrics")
    _stop_on_signals(archiver)
    try:
        await archiver.run()
    finally:
        await pages.stop()


def _stop_on_signals(archiver: Archiver) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, archiver.stop)
