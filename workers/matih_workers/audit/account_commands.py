"""`matih audit certificates|accesses`: what was erased of an archive, and who has read it."""

from __future__ import annotations

from matih_console.output import JsonOption, console, print_json
from matih_workers.audit.access_log import accesses as noted_accesses
from matih_workers.audit.erasure import certificates_in
from matih_workers.audit.log import Log
from matih_workers.audit.options import Archive, opened, opened_access_log
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.tables import moment, print_table


def certificates(archive: Archive = None, json: JsonOption = False) -> None:
    """The certificates of erasure: when, who, whose records, why, how many, and their places in the log."""
    with opened("audit certificates", archive) as reading:
        checkpoint = ArchiveReader(reading.storage).checkpoint
        found = list(certificates_in(Log(reading.storage).entries(0, checkpoint.size if checkpoint else 0)))
        reading.access.rows = len(found)
    records = sum(one.records for one in found)
    if json:
        print_json({"certificates": [one.as_json() for one in found], "records": records})
        return
    rows = [(one.entry, moment(one.time), one.actor, one.whose, one.records, one.where, one.reason) for one in found]
    print_table(("entry", "when", "who", "whose", "records", "partition", "why"), rows)
    console.print(f"{len(found)} certificates, {records} records")


def accesses(archive: Archive = None, json: JsonOption = False) -> None:
    """Who has read the archive, by which command, when, and how much it gave out; the oldest first."""
    with opened_access_log(archive) as log:
        found = list(noted_accesses(log))
    if json:
        print_json({"accesses": found})
        return
    rows = [
        (
            moment(one.get("started_at")),
            moment(one.get("ended_at")),
            f"{one.get('user', '-')}@{one.get('host', '-')}",
            one.get("command", one["path"]),
            " ".join(f"{name}={value}" for name, value in one.get("asked", {}).items()) or "-",
            "-" if one.get("rows") is None else one["rows"],
            one.get("outcome") or "-",
        )
        for one in found
    ]
    print_table(("when", "until", "who", "command", "asked", "rows", "outcome"), rows)
    console.print(f"{len(found)} readings are noted")
