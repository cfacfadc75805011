"""Whether an archive is what was written: offline, from its files and the public keys only.

The log's entries are read once, in order, and held against the record files, which are read beside them, in order
too: a file's block and a bundle are all that is in memory. The entries give the tiles and the root; the checkpoint's
signature says whose root that is; earlier checkpoints have to be roots of the same log.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from matih_workers.audit import checkpoint as checkpoints
from matih_workers.audit import tiles
from matih_workers.audit.comparison import Comparison
from matih_workers.audit.entries import RECORD, RECORD_TAIL_BYTES, GapEntry, RecordEntry, Statement, decode, record_head
from matih_workers.audit.erasure import Erasures
from matih_workers.audit.errors import Damaged, InvalidNote
from matih_workers.audit.findings import Report
from matih_workers.audit.log import CHECKPOINT, POSITIONS, Log
from matih_workers.audit.merkle import range_hash
from matih_workers.audit.partition import RECORDS
from matih_workers.audit.record import DIGEST_BYTES
from matih_workers.audit.signers import Signers
from matih_workers.audit.state import cached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matih_workers.audit.checkpoint import Checkpoint
    from matih_workers.audit.merkle import NodeHash
    from matih_workers.audit.notes import PublicKey
    from matih_workers.audit.partition import PartitionId
    from matih_workers.audit.storage import Storage

NODES_CACHED: Final = 4096
_TAIL: Final = struct.Struct(">Q32s")


class Verification:
    """One pass over an archive."""

    def __init__(
        self,
        storage: Storage,
        keys: Sequence[PublicKey],
        earlier: Mapping[str, bytes] | None = None,
        since: int = 0,
        progress: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> None:
        """Reads nothing yet.

        Args:
            storage: the archive.
            keys: whose signatures count.
            earlier: checkpoints that were kept elsewhere, by where: the log has to go on from each of them.
            since: entries that were verified before; only what came after them is read. Their root has to be that of a
                checkpoint of this size.
            progress: told how many entries of how many are done.
        """
        self._storage, self._keys, self._earlier, self._progress = storage, keys, earlier or {}, progress
        self._since = since
        self._log = Log(storage)
        self.report = Report()
        self._records = Comparison(storage, self.report, since)
        self._consistent: set[int] = set()
        self._heads: dict[bytes, PartitionId] = {}
        self._history: dict[int, bytes] = {}
        self._statements: list[Statement] = []
        self._nodes: NodeHash = self._log.nodes(0)

    def run(self) -> Report:
        """Looks at everything, and goes on behind what it finds."""
        # Before the checkpoint: an archiver at work adds to it, and what it adds is not covered by what we have read.
        self._history = self._log.history()
        signed = self._log.checkpoint()
        if signed is None:
            self.report.add("log", CHECKPOINT, "there is no checkpoint: nothing in this archive is vouched for")
            return self.report
        try:
            self.report.checkpoint = checkpoints.parse(signed)
        except InvalidNote as error:
            self.report.add("log", CHECKPOINT, str(error))
            return self.report
        self._records.begin(self._storage.paths(RECORDS))
        self._walk(self.report.checkpoint)
        self._records.rest()
        self._check_shortcut()
        self._records.check_erased(Erasures.of(self._statements))
        self._check_signatures(signed, self.report.checkpoint)
        return self.report

    def _walk(self, checkpoint: Checkpoint) -> None:
        """Goes through the log's entries, the tiles that follow from them and the records that they tell of."""
        size = checkpoint.size
        edge = self._edge_before(size)
        if edge is None:
            return
        broken = False
        for index in range(edge.size // tiles.WIDTH, -(-size // tiles.WIDTH)):
            skip = edge.size - index * tiles.WIDTH if not broken else 0
            try:
                entries = self._log.bundle(index, size)[max(0, skip) :]
            except Damaged as error:
                self.report.add("log", *_file_first(error))
                broken = True
                self._records.lost()
                continue
            self.report.entries += len(entries)
            if not broken:
                written = edge.append(tiles.leaf_hashes(entries))
                self._check_tiles({path: data for path, data in written.items() if ".p/" not in path})
            self._take(entries)
            self._progress(self.report.entries, size - self._since)
        if broken:
            return
        self._check_tiles(edge.partial_tiles())
        self._check_partial(size)
        if edge.root() != checkpoint.root:
            self.report.add("log", CHECKPOINT, f"its root is not that of the {size} entries that are there")

    def _edge_before(self, size: int) -> tiles.Edge | None:
        """The tree before the first entry to be read; None, and told, if it is none that a checkpoint vouches for."""
        if not self._since:
            return tiles.Edge()
        try:
            return self._log.edge(self._since) if self._since <= size else None
        except Damaged as error:
            self.report.add("log", *_file_first(error))
            return None

    def _check_tiles(self, expected_tiles: Mapping[str, bytes]) -> None:
        """Holds the tiles that follow from the entries against the files."""
        for path, expected in expected_tiles.items():
            found = self._storage.read(f"log/{path}")
            if found is None and ".p/" in path:  # a working archiver has filled it since
                found = (self._storage.read(f"log/{path.rpartition('.p/')[0]}") or b"")[: len(expected)] or None
            if found == expected:
                continue
            if found is None:
                self.report.add("log", f"log/{path}", "there is no such tile")
                continue
            pairs = zip_longest(tiles.hashes_of(found), tiles.hashes_of(expected))
            wrong = next(number for number, (is_, should) in enumerate(pairs) if is_ != should)
            self.report.add("log", f"log/{path}", f"its hash {wrong} is not that of the entries that are there")

    def _check_partial(self, size: int) -> None:
        """Holds what partial files of earlier sizes are left against the log: who has an old checkpoint reads them."""
        for path in self._storage.paths("log/tile"):
            named = tiles.partial_file(path.removeprefix("log/"))
            if named is None:
                continue
            level, index, width = named
            found = self._storage.read(path) if width <= tiles.width_of(level or 0, index, size) else None
            if found is not None and found != self._part(named, size):
                self.report.add("log", path, "it is not the beginning of what it is a part of")

    def _part(self, named: tuple[int | None, int, int], size: int) -> bytes | None:
        level, index, width = named
        try:
            if level is None:
                return tiles.encode_bundle(self._log.bundle(index, size)[:width])
            return self._log.tile(level, index, size)[: width * DIGEST_BYTES]
        except Damaged:  # told already, by the file that is damaged
            return None

    def _take(self, entries: Sequence[bytes]) -> None:
        """Takes a bundle's entries: the records of a partition that stand together at once."""
        at = 0
        while at < len(entries):
            head = entries[at][:-RECORD_TAIL_BYTES]
            partition = self._partition_of(entries[at], head)
            if partition is None:
                self._take_other(entries[at])
                at += 1
                continue
            length, end = len(head) + RECORD_TAIL_BYTES, at + 1
            while end < len(entries) and entries[end].startswith(head) and len(entries[end]) == length:
                end += 1
            self._records.records(
                partition, list(_TAIL.iter_unpack(b"".join([entry[-40:] for entry in entries[at:end]])))
            )
            at = end

    def _partition_of(self, entry: bytes, head: bytes) -> PartitionId | None:
        """The partition of a record's entry; None for another entry."""
        if head not in self._heads and entry[:1] == bytes((RECORD,)):
            try:
                found = decode(entry)
            except Damaged:  # told where it is taken as no record
                return None
            assert isinstance(found, RecordEntry)
            self._heads[record_head(found.partition)] = found.partition
        return self._heads.get(head)

    def _take_other(self, encoded: bytes) -> None:
        try:
            entry = decode(encoded)
        except Damaged as error:
            self.report.add("log", CHECKPOINT, f"entry {self.report.entries}: {error}")
            return
        if isinstance(entry, Statement):
            self._statements.append(entry)
            if entry.type == "topic":
                self._records.topics[entry.body["cluster_id"], entry.body["topic_id"]] = entry.body["name"]
        elif isinstance(entry, GapEntry):
            self._records.gap(entry)

    def _check_shortcut(self) -> None:
        """The shortcut proves nothing, but who begins with it has to find what the log says."""
        known = cached(self._storage.read(POSITIONS))
        size = self.report.checkpoint.size if self.report.checkpoint else 0
        if known is None or known[0] != size or self._since or self._records.unknown:
            return
        if (known[2].ends, known[2].topics) != (self._records.ends, self._records.topics):
            self.report.add("log", POSITIONS, "it does not say what the log's entries say: remove it, it is made anew")

    def _check_signatures(self, signed: bytes, checkpoint: Checkpoint) -> None:
        """Whose checkpoint it is, and whether the log goes on from all the others."""
        signers = Signers(self._log, self._keys, self._statements, self._since)
        try:
            _, key = signers.open(signed)
            self.report.signed_by = str(key)
        except (InvalidNote, Damaged) as error:
            self.report.add("signature", CHECKPOINT, str(error))
        # One after the other they ask for the same nodes again and again.
        self._nodes = lru_cache(NODES_CACHED)(self._log.nodes(checkpoint.size))
        history = {f"log/checkpoints/{size:020}": data for size, data in self._history.items()}
        for where, data in (history | dict(self._earlier)).items():
            self._check_earlier(where, data, signers, checkpoint)
        for where, why in signers.strangers().items():
            self.report.add("signature", where, why)
        if self._since and self._since not in self._consistent:
            detail = f"no checkpoint of {self._since} entries is there: what came before it is not vouched for"
            self.report.add("history", CHECKPOINT, detail)

    def _check_earlier(self, where: str, data: bytes, signers: Signers, checkpoint: Checkpoint) -> None:
        try:
            earlier, _ = signers.open(data)
            if earlier.origin != checkpoint.origin:
                self.report.add("history", where, f"it is of the log {earlier.origin}, not of {checkpoint.origin}")
            elif earlier.size > checkpoint.size:
                detail = f"it covers {earlier.size} entries, the log has {checkpoint.size}: its tail was cut off"
                self.report.add("history", where, detail)
            elif range_hash(0, earlier.size, self._nodes) != earlier.root:
                detail = (
                    f"the log's first {earlier.size} entries are not those that it covers: the log was made up anew"
                )
                self.report.add("history", where, detail)
            else:
                self.report.earlier += 1
                self._consistent.add(earlier.size)
        except InvalidNote as error:
            self.report.add("signature", where, str(error))
        except Damaged as error:
            self.report.add("history", where, f"it can't be compared: {error}")


def _file_first(error: Damaged) -> tuple[str, str]:
    """A message that begins with its file, in two."""
    file, _, detail = str(error).partition(": ")
    return file, detail
