"""Many small files of records become fewer: the log does not notice, for it knows records and no files.

What a longer file covers is left until the next time, for those who read it now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from matih_workers.audit import container
from matih_workers.audit.errors import Damaged
from matih_workers.audit.partition import RECORDS, RecordFile
from matih_workers.audit.reading import ArchiveReader, current_files, record_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matih_workers.audit.storage import Storage

TARGET_BYTES: Final = 64 << 20
"""A file that is as large is left as it is, and none becomes much larger."""


class Compacted(NamedTuple):
    """What was done: files that were put together, files that they became, files of the time before that went."""

    merged: int
    made: int
    removed: int


def compact(storage: Storage, target: int = TARGET_BYTES) -> Compacted:
    """Removes what longer files cover, and puts small neighbours together. Killed anywhere, nothing is lost.

    Raises:
        Damaged: a file is not whole; nothing of it is removed.
    """
    ends = ArchiveReader(storage).ends()
    removed = remove_covered(storage)
    known = storage.sizes(RECORDS)
    sizes = {file: known[file.path] for file in current_files(storage) if file.path in known}
    plan = groups([file for file in sizes if file.last < ends.get(file.partition, 0)], sizes, target)
    for group in plan:
        _merge(storage, group)
    return Compacted(sum(map(len, plan)), len(plan), removed)


def groups(files: Iterable[RecordFile], sizes: Mapping[RecordFile, int], target: int) -> list[Sequence[RecordFile]]:
    """Which neighbours become one file: as many as stay below the target together, at least two. Pure.

    Args:
        files: by partition and place.
        sizes: each one's bytes.
        target: bytes.
    """
    found: list[list[RecordFile]] = [[]]
    size = 0
    for file in files:
        held = found[-1]
        if held and (held[-1].partition != file.partition or size + sizes[file] > target):
            found.append([])
            size = 0
        found[-1].append(file)
        size += sizes[file]
    return [group for group in found if len(group) > 1]


def remove_covered(storage: Storage) -> int:
    """Removes the files that a longer one covers, if that one is whole; returns how many.

    Raises:
        Damaged: it is not.
    """
    kept = current_files(storage)
    covered = sorted(set(record_files(storage.paths(RECORDS))).difference(kept))
    for file in covered:
        longer = next(one for one in kept if _covers(one, file))
        list(_encoded(storage, longer))
        storage.delete(file.path)
    return len(covered)


def _covers(longer: RecordFile, file: RecordFile) -> bool:
    return longer.partition == file.partition and longer.first <= file.first and file.last <= longer.last


def _merge(storage: Storage, group: Sequence[RecordFile]) -> None:
    longer = RecordFile(group[0].partition, group[0].first, group[-1].last)
    topic = container.topic_in(storage.read(group[0].path) or b"")
    encoded = (one for file in group for one in _encoded(storage, file))
    storage.write({longer.path: container.encode_file(longer.partition, topic, encoded)})


def _encoded(storage: Storage, file: RecordFile) -> Iterator[bytes]:
    """The bytes of a file's records."""
    try:
        for block in container.open_file(storage.read(file.path) or b"", file.partition).uncompressed():
            yield from container.encoded(block)
    except Damaged as error:
        raise Damaged(f"{file.path}: {error}: run `matih audit verify`") from error
