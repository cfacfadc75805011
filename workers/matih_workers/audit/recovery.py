"""What a killed archiver left beyond its checkpoint: it does not count, and may be all that is left of records."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from matih_workers.audit import container
from matih_workers.audit.batch import Batch, Topic
from matih_workers.audit.errors import Damaged
from matih_workers.audit.log import remove_beyond
from matih_workers.audit.partition import RECORDS
from matih_workers.audit.reading import read_file, record_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_workers.audit.log import LogWriter
    from matih_workers.audit.partition import PartitionId, RecordFile
    from matih_workers.audit.record import ArchivedRecord
    from matih_workers.audit.storage import Storage

logger = logging.getLogger(__name__)


def recover(storage: Storage, writer: LogWriter, firsts: Mapping[PartitionId, int]) -> None:
    """Removes the files beyond the log's end; records that Kafka has no more are taken into the log instead.

    Args:
        storage: the archive.
        writer: its log.
        firsts: by partition the first offset that Kafka still has; a partition that is gone is not among them.

    Raises:
        Damaged: a file is partly in the log: nothing of ours makes such a one.
    """
    remove_beyond(storage, writer.checkpoint.size)
    for file in record_files(storage.paths(RECORDS)):
        end = writer.state.ends.get(file.partition, 0)
        if file.last < end:
            continue
        if file.first < end:
            raise Damaged(f"{file.path}: the log ends within it, at offset {end}: run `matih audit verify`")
        if file.first >= firsts.get(file.partition, file.last + 1):
            storage.delete(file.path)
            logger.info("%s: written before the archiver was killed, not in the log: read again from Kafka", file.path)
        else:
            _adopt(storage, writer, file)


def _adopt(storage: Storage, writer: LogWriter, file: RecordFile) -> None:
    try:
        records = list(read_file(storage, file))
        topic = container.topic_in(storage.read(file.path) or b"")
        _check(file, records)
    except Damaged as error:
        storage.delete(file.path)
        logger.warning("%s; its records are not in Kafka any more either: removed", error)
        return
    batch = Batch([Topic(file.partition.cluster_id, file.partition.topic_id, topic)], writer.state)
    batch.gap(file.partition, file.first)
    batch.add(file.partition, records)
    writer.commit(batch.entries())
    logger.warning(
        "%s: Kafka has these records no more, the file of the killed archiver has: taken as it is", file.path
    )


def _check(file: RecordFile, records: list[ArchivedRecord]) -> None:
    offsets = [record.offset for record in records]
    whole = offsets and (offsets[0], offsets[-1]) == (file.first, file.last)
    if not whole or offsets != sorted(set(offsets)) or any(record.erased is not None for record in records):
        raise Damaged(f"{file.path}: its records are not those that its name says")
