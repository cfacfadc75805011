"""`matih audit verify|prove`: what an auditor does with the files and the public key, offline."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json
from matih_workers.audit import checkpoint as checkpoints
from matih_workers.audit import notes
from matih_workers.audit.errors import InvalidKey, InvalidNote, StorageUnavailable
from matih_workers.audit.events import dead_letter_topics
from matih_workers.audit.options import Archive, opened
from matih_workers.audit.proving import prove_consistency, prove_record
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.storage import open_storage
from matih_workers.audit.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_workers.audit.findings import Report
    from matih_workers.audit.notes import PublicKey
    from matih_workers.audit.partition import PartitionId
    from matih_workers.audit.settings import AuditSettings
    from matih_workers.audit.storage import Storage

SHOWN: Final = 100
"""Findings that are printed for people."""
NOTE_SECONDS: Final = 2.0

PublicKeys = Annotated[
    list[str] | None,
    typer.Option("--public-key", help="Whose signature counts, name+hash+key, or a file with it; may be repeated."),
]


def verify(
    archive: Archive = None,
    public_key: PublicKeys = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(help="An earlier checkpoint kept elsewhere, or a folder of them (MATIH_AUDIT_ANCHOR)."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what came after this checkpoint, verified before: a file, or its size.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Check that nothing in the archive was changed, removed or made up. Needs only its files and the public key."""
    from matih_workers.cli import settle_interpreter

    settle_interpreter()
    with opened("audit verify", archive, checkpoint=checkpoint, since=since) as (settings, storage, access):
        keys = public_keys(settings, public_key)
        earlier = _earlier([*(checkpoint or []), *([settings.audit_anchor] if settings.audit_anchor else [])])
        begin, kept = _since(since)
        report = Verification(storage, keys, earlier | kept, begin, _progress()).run()
        access.rows = report.records
    if json:
        print_json(as_json(report))
    else:
        print_report(report)
    return 0 if report.whole else 1


def prove(
    archive: Archive = None,
    record: Annotated[
        str | None, typer.Option(metavar="PARTITION@OFFSET", help="That this record is in the log.")
    ] = None,
    topic_id: Annotated[
        str | None, typer.Option(help="Of that topic: dead letters', or one of several of one name.")
    ] = None,
    since: Annotated[int | None, typer.Option(help="That the log goes on from its first SINCE entries.")] = None,
) -> None:
    """Print RFC 6962's inclusion or consistency proof as JSON, for who has a checkpoint and not the archive."""
    if (record is None) == (since is None):
        raise WrongUse("prove: give either --record PARTITION@OFFSET or --since SIZE")
    with opened("audit prove", archive, record=record, topic_id=topic_id, since=since) as (_, storage, access):
        if since is not None:
            found = prove_consistency(storage, since)
        else:
            number, offset = _place(record or "")
            found = prove_record(storage, _partition(ArchiveReader(storage), number, topic_id), offset)
        access.rows = 1
    print_json(found)


def public_keys(settings: AuditSettings, given: list[str] | None) -> list[PublicKey]:
    """The keys whose signatures count: those given, else the environment's, its signing key's among them.

    Raises:
        WrongUse: there is none, or one is none.
        InvalidSettings: a variable holds none.
    """
    if given:
        return [_public_key(text) for text in given]
    keys = list(settings.accepted_keys())
    if settings.audit_key_file is not None or settings.audit_key.get_secret_value():
        keys.append(settings.signing_key().public)
    if not keys:
        raise WrongUse("whose signature counts? give --public-key name+hash+key, or set MATIH_AUDIT_PUBLIC_KEYS")
    return keys


def as_json(report: Report) -> dict[str, Any]:
    """The report for programs."""
    found = report.checkpoint
    return {
        "whole": report.whole,
        "checkpoint": None if found is None else {"origin": found.origin, "size": found.size, "root": found.root.hex()},
        "signed_by": report.signed_by,
        "entries": report.entries,
        "records": report.records,
        "bytes": report.bytes,
        "files": report.files,
        "erased": report.erased,
        "earlier_checkpoints": report.earlier,
        "gaps": [{**gap._asdict(), "partition": str(gap.partition)} for gap in report.gaps],
        "uncounted": report.uncounted,
        "superseded": report.superseded,
        "findings": [finding.as_json() for finding in report.findings],
    }


def print_report(report: Report) -> None:
    """The report for people: what was looked at, then each finding in a line."""
    found = report.checkpoint
    if found is not None:
        console.print(
            f"log {found.origin}, {found.size} entries, root {found.root.hex()}", soft_wrap=True, markup=False
        )
    if report.signed_by:
        console.print(f"signed by {report.signed_by}", soft_wrap=True, markup=False)
    console.print(
        f"{report.records} records ({report.bytes} bytes) in {report.files} files against {report.entries} entries; "
        f"{report.earlier} earlier checkpoints; {report.erased} records erased with a certificate",
        soft_wrap=True,
    )
    for gap in report.gaps:
        console.print(
            f"{gap.partition}: offsets {gap.first} to {gap.end - 1} are not there: {gap.reason}", soft_wrap=True
        )
    if report.uncounted:
        console.print(f"{len(report.uncounted)} files beyond the checkpoint do not count (yet)", soft_wrap=True)
    for finding in report.findings[:SHOWN]:
        console.print(str(finding), style="red", soft_wrap=True, markup=False)
    if len(report.findings) > SHOWN:
        console.print(f"and {len(report.findings) - SHOWN} more: --json tells them all")
    console.print("everything is as it was written" if report.whole else "NOT as it was written", style="bold")


def _earlier(places: list[str]) -> dict[str, bytes]:
    """The checkpoints in each place, in all versions that it keeps: what somebody put over one counts as little."""
    found: dict[str, bytes] = {}
    for place in places:
        kept = _versions(open_storage(place))
        found |= {f"{place}/{path}" if path else place: data for path, data in kept.items()}
        if not kept:
            found[place] = _read(place)
    return found


def _versions(storage: Storage) -> dict[str, bytes]:
    try:
        return storage.versions()
    except StorageUnavailable as error:
        note(f"{error} Only what stands there now is looked at, not what was there before")
        return {path: storage.read(path) or b"" for path in storage.paths("")}


def _since(text: str | None) -> tuple[int, dict[str, bytes]]:
    """The size to begin at, and the checkpoint if it is one's file."""
    if text is None:
        return 0, {}
    if text.isdigit():
        return int(text), {}
    try:
        data = _read(text)
        return checkpoints.parse(data).size, {text: data}
    except InvalidNote as error:
        raise WrongUse(f"--since {text}: {error}") from error


def _read(path: str) -> bytes:

    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WrongUse(f"checkpoint {path}: {error.strerror}: name a file, or a folder with some in it") from error


def _public_key(text: str) -> PublicKey:
    """The key in a file, or the one that is written out."""
    written_out = text.count("+") > 1 and not Path(text).is_file()
    try:
        return notes.public_key(text if written_out else Path(text).read_text(encoding="utf-8"))
    except InvalidKey as error:
        raise WrongUse(f"--public-key{'' if written_out else f' {text}'}: {error}") from error
    except OSError as error:
        why = f"{error.strerror}: name a file with the key, or write it out, name+hash+base64"
        raise WrongUse(f"--public-key {text}: {why}") from error
    except UnicodeDecodeError as error:
        raise WrongUse(f"--public-key {text}: it is no text") from error


def _place(text: str) -> tuple[int, int]:
    partition, _, offset = text.partition("@")
    if not (partition.isdigit() and offset.isdigit()):
        raise WrongUse(f"--record {text!r}: write PARTITION@OFFSET, as 3@120")
    return int(partition), int(offset)


def _partition(reader: ArchiveReader, number: int, topic_id: str | None) -> PartitionId:
    letters = dead_letter_topics(reader.topics()) if topic_id is None else ()
    places = [one for one in reader.ends() if one[:2] not in letters]
    found = [one for one in places if one.partition == number and topic_id in (None, one.topic_id)]
    if len(found) != 1:
        topics = ", ".join(sorted({one.topic_id for one in reader.ends()}))
        raise CommandFailed(f"partition {number} is of {len(found)} topics here: name one by --topic-id ({topics})")
    return found[0]


def _progress() -> Callable[[int, int], None]:
    """Tells how far it is, now and then, if somebody sits there."""
    told = time.monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal told
        if sys.stderr.isatty() and time.monotonic() - told > NOTE_SECONDS:
            told = time.monotonic()
            note(f"{done} of {of} entries")

    return progress
