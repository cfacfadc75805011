"""Takes the payload out of records, with a certificate in the log: their hashes stay, and it verifies as before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matih_workers.audit import container
from matih_workers.audit import record as record_bytes
from matih_workers.audit.compaction import remove_covered
from matih_workers.audit.entries import encode
from matih_workers.audit.erasure import certificates
from matih_workers.audit.reading import current_files, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_workers.audit.log import LogWriter
    from matih_workers.audit.partition import RecordFile
    from matih_workers.audit.record import ArchivedRecord
    from matih_workers.audit.storage import Storage


class Subject(NamedTuple):
    """Whose records: a run's, or all of a tenant's; by the records' keys, `tenant/run`."""

    run_id: str | None
    tenant: str | None

    def owns(self, record: ArchivedRecord) -> bool:
        """Whether the record is the subject's, and still has its payload."""
        tenant, _, run_id = (record.key or b"").decode("utf-8", "replace").partition("/")
        return record.erased is None and self.run_id in (None, run_id) and self.tenant in (None, tenant)


def found(storage: Storage, writer: LogWriter, subject: Subject) -> Iterator[tuple[RecordFile, list[ArchivedRecord]]]:
    """The files that hold records of the subject, and these records.

    Raises:
        Damaged: a file can't be read.
    """
    for file in current_files(storage):
        if file.last < writer.state.ends.get(file.partition, 0):
            records = [one for one in read_file(storage, file) if subject.owns(one)]
            if records:
                yield file, records


def erase(storage: Storage, writer: LogWriter, subject: Subject, actor: str, reason: str, time_ms: int) -> int:
    """Erases the subject's payloads; returns how many records had one. Killed in between, it is done by doing it again.

    The certificate comes first: a payload that is still there beside it verifies, one that is gone without it does not.

    Raises:
        Damaged: a file can't be read.
        Busy: somebody else has written to the archive.
    """
    remove_covered(storage)
    count = 0
    for file, records in found(storage, writer, subject):
        erased = {one.offset: record_bytes.erase(one) for one in records}
        places = [(offset, record_bytes.digest_of(record_bytes.encode(one))) for offset, one in erased.items()]
        writer.commit([encode(one) for one in certificates(file.partition, places, actor, reason, time_ms)])
        whole = [erased.get(one.offset, one) for one in read_file(storage, file)]
        topic = container.topic_in(storage.read(file.path) or b"")
        storage.write({file.path: container.encode_file(file.partition, topic, map(record_bytes.encode, whole))})
        count += len(records)
    return count
