"""The log on a storage: read at any size, and appended to by the one who holds the key.

log/checkpoint             the signed checkpoint: what it does not cover does not count
log/checkpoints/<size>     all checkpoints that ever were
log/tile/...               C2SP's tiles and bundles of entries
log/keys/<size>            each new key, in a note that an older one signed: the log has it too
log/positions              what the entries say in all: only a shortcut
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from matih_workers.audit import checkpoint as checkpoints
from matih_workers.audit import keys, notes, tiles
from matih_workers.audit import state as states
from matih_workers.audit.checkpoint import Checkpoint
from matih_workers.audit.entries import encode
from matih_workers.audit.errors import Busy, Damaged, InvalidNote
from matih_workers.audit.merkle import HASH_BYTES, NodeHash, range_hash
from matih_workers.audit.state import LogState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matih_workers.audit.notes import PublicKey, SigningKey
    from matih_workers.audit.storage import Storage

logger = logging.getLogger(__name__)

CHECKPOINT: Final = "log/checkpoint"
HISTORY: Final = "log/checkpoints"
KEYS: Final = "log/keys"
POSITIONS: Final = "log/positions"
TILES_CACHED: Final = 256


class Log:
    """The log's files, read. What is read is not verified here."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def checkpoint(self) -> bytes | None:
        """The signed checkpoint; None if the archive has none yet."""
        return self._storage.read(CHECKPOINT)

    def history(self) -> dict[int, bytes]:
        """The checkpoints that ever were, by size, in its order."""
        found = {}
        for path in self._storage.paths(HISTORY):
            name = path.rpartition("/")[2]
            data = self._storage.read(path) if name.isdigit() else None
            if data is not None:
                found[int(name)] = data
        return dict(sorted(found.items()))

    def vouchers(self) -> dict[str, bytes]:
        """The notes by which older keys vouch for newer ones, by path, in their order."""
        return {path: self._storage.read(path) or b"" for path in self._storage.paths(KEYS)}

    def bundle(self, index: int, size: int) -> list[bytes]:
        """The entries of a bundle, as many as a log of `size` has in it.

        Raises:
            Damaged: it is not there, torn, or shorter; the message names the file.
        """
        width = min(tiles.WIDTH, size - index * tiles.WIDTH)
        path = tiles.bundle_path(index, width)
        data = self._storage.read(f"log/{path}")
        if data is None and width < tiles.WIDTH:
            data, path = self._storage.read(f"log/{tiles.bundle_path(index)}"), tiles.bundle_path(index)
            return self._entries(path, data, tiles.WIDTH)[:width]
        return self._entries(path, data, width)

    def entries(self, first: int, size: int) -> Iterator[bytes]:
        """The entries from number `first` on, of a log of `size`.

        Raises:
            Damaged: a bundle is not there or torn.
        """
        for index in range(first // tiles.WIDTH, -(-size // tiles.WIDTH)):
            yield from self.bundle(index, size)[max(0, first - index * tiles.WIDTH) :]

    def tile(self, level: int, index: int, size: int) -> bytes:
        """A tile, as wide as a log of `size` has it.

        Raises:
            Damaged: it is not there, or of another length; the message names the file.
        """
        width = tiles.width_of(level, index, size)
        path = tiles.tile_path(level, index, width)
        data = self._storage.read(f"log/{path}")
        if data is None and width < tiles.WIDTH:
            data = (self._storage.read(f"log/{tiles.tile_path(level, index)}") or b"")[: width * HASH_BYTES]
        if data is None or len(data) != width * HASH_BYTES:
            raise Damaged(f"log/{path}: {'there is no such tile' if not data else f'it has {len(data)} bytes'}")
        return data

    def nodes(self, size: int) -> NodeHash:
        """Any node's hash in the log of `size`, from its tiles."""
        return tiles.nodes_from(lru_cache(TILES_CACHED)(lambda level, index: self.tile(level, index, size)))

    def root(self, size: int, of: int | None = None) -> bytes:
        """The root of the first `size` entries, from the tiles of a log of `of` (default: of that size).

        Raises:
            Damaged: a tile is not there or torn.
        """
        return range_hash(0, size, self.nodes(size if of is None else of))

    def edge(self, size: int) -> tiles.Edge:
        """The right edge of the tree of the first `size` entries.

        Raises:
            Damaged: a tile is not there or torn.
        """
        rows, level = [], 0
        while size >> (tiles.HEIGHT * level):
            index, width = divmod(size >> (tiles.HEIGHT * level), tiles.WIDTH)
            rows.append(tiles.hashes_of(self.tile(level, index, size)) if width else [])
            level += 1
        return tiles.Edge(size, rows)

    def state(self, size: int) -> LogState:
        """What the first `size` entries say in all.

        Raises:
            Damaged: a bundle is not there, torn or unreadable.
        """
        known = states.cached(self._storage.read(POSITIONS))
        first, state = 0, LogState()
        if known is not None and known[0] <= size and self.root(known[0], size) == known[1]:
            first, state = known[0], known[2]
        state.take(self.entries(first, size))
        return state

    def _entries(self, path: str, data: bytes | None, width: int) -> list[bytes]:
        if data is None:
            raise Damaged(f"log/{path}: there is no such bundle of entries")
        try:
            return tiles.decode_bundle(data, width)
        except Damaged as error:
            raise Damaged(f"log/{path}: {error}") from error


def remove_beyond(storage: Storage, size: int) -> None:
    """Removes the tiles and bundles that a killed writer left, and that no checkpoint of this size or less covers.

    A later batch may be cut elsewhere: they would stand beside its own, and say something else.
    """
    for path in storage.paths("log/tile"):
        if tiles.covered_by(path.removeprefix("log/"), size) is False:
            storage.delete(path)


class LogWriter:
    """Appends to the log. One at a time: whoever finds a checkpoint that it has not written itself stops."""

    def __init__(self, storage: Storage, key: SigningKey, accepted: Sequence[PublicKey] = ()) -> None:
        """Reads the log's end.

        Args:
            storage: the archive.
            key: signs the checkpoints.
            accepted: other keys that the checkpoint found may be signed with.

        Raises:
            InvalidNote: the checkpoint found is signed by none of the keys.
            Damaged: it is no checkpoint of the files that are there.
        """
        self._storage, self._key, self._log = storage, key, Log(storage)
        self._written = self._log.checkpoint()
        if self._written is None:
            self.checkpoint = Checkpoint(key.name, 0, tiles.Edge().root())
        else:
            self.checkpoint, _ = checkpoints.open_checkpoint(self._written, [key.public, *accepted])
        size = self.checkpoint.size
        self._edge = self._log.edge(size)
        if self._edge.root() != self.checkpoint.root:
            raise Damaged(f"{storage}: the log's tiles are not those of its checkpoint: run `matih audit verify`")
        self._tail = self._log.bundle(size // tiles.WIDTH, size) if size % tiles.WIDTH else []
        if b"".join(tiles.leaf_hashes(self._tail)) != (
            self._log.tile(0, size // tiles.WIDTH, size) if self._tail else b""
        ):
            raise Damaged(
                f"{storage}: the log's last entries are not those of its checkpoint: run `matih audit verify`"
            )
        self.state = self._log.state(size)
        if self._written is not None:
            self._note_history(self._written)

    def commit(self, entries: Sequence[bytes]) -> bytes:
        """Appends the entries and signs; when it returns, they count. Returns the signed checkpoint.

        Raises:
            Busy: somebody else has written a checkpoint meanwhile.
            InvalidNote: somebody has written what is none.
            StorageUnavailable: nothing counts; this writer is of no use any more.
        """
        self._look_at_what_is_there()
        edge, size = self._edge.copy(), self.checkpoint.size
        written = edge.append(tiles.leaf_hashes(entries)) | self._bundles(entries)
        self._storage.write({f"log/{path}": data for path, data in written.items()})
        following = Checkpoint(self.checkpoint.origin, edge.size, edge.root())
        signed = checkpoints.sign(following, self._key)
        self._storage.write({CHECKPOINT: signed})
        self._written, self._edge, self.checkpoint = signed, edge, following
        self._tail = [*self._tail, *entries][-(edge.size % tiles.WIDTH) :] if edge.size % tiles.WIDTH else []
        self.state.take(entries)
        self._after(size, signed)
        return signed

    def _look_at_what_is_there(self) -> None:
        """Takes over what witnesses have signed since; whoever finds another checkpoint than its own stops."""
        found = self._log.checkpoint()
        if found == self._written:
            return
        if None in (found, self._written) or _text(found) != _text(self._written):
            raise Busy(f"{self._storage}: another archiver has written to it since: one of them has to stop")
        self._note_history(found or b"")

    def vouched_by(self, old: SigningKey) -> bytes:
        """Commits the statement by which the old key vouches for the one that signs here, as `commit` does."""
        said = keys.rotation(old, self._key.public)
        # Beside the log too, and first: who verifies its newest part only finds it without reading all that was before.
        self._storage.write({f"{KEYS}/{self.checkpoint.size:020}": keys.note_of(said) or b""})
        return self.commit([encode(said)])

    def _after(self, size: int, signed: bytes) -> None:
        """What follows from the checkpoint, and is made good at the next start if we are killed before it."""
        self._note_history(signed)
        self._storage.write({POSITIONS: states.cache(self.checkpoint.size, self.checkpoint.root, self.state)})
        self._remove_partial(size)

    def _note_history(self, signed: bytes) -> None:
        """Keeps the checkpoint among those that ever were, with the signatures of all that have signed it."""
        path = f"{HISTORY}/{self.checkpoint.size:020}"
        kept = self._storage.read(path)
        if kept == signed:
            return
        if kept is None:
            self._storage.write({path: signed})
            return
        try:
            whole = notes.merged(kept, signed)
        except InvalidNote:  # it is left for `matih audit verify` to tell
            return
        if whole != kept:
            self._storage.write({path: whole})

    def _bundles(self, entries: Sequence[bytes]) -> dict[str, bytes]:
        first = self.checkpoint.size // tiles.WIDTH
        whole = [*self._tail, *entries]
        cut = [whole[at : at + tiles.WIDTH] for at in range(0, len(whole), tiles.WIDTH)]
        return {
            tiles.bundle_path(first + number, len(some)): tiles.encode_bundle(some) for number, some in enumerate(cut)
        }

    def _remove_partial(self, size: int) -> None:
        """Removes partial files of the log as it was at `size`, where full ones stand now."""
        full = []
        index = size // tiles.WIDTH
        if self.checkpoint.size // tiles.WIDTH > index:
            full.append(tiles.bundle_path(index))
        for level in range(tiles.HEIGHT):
            index = (size >> (tiles.HEIGHT * level)) // tiles.WIDTH
            if tiles.width_of(level, index, self.checkpoint.size) == tiles.WIDTH:
                full.append(tiles.tile_path(level, index))
        for path in full:
            for partial in self._storage.paths(f"log/{tiles.partial_folder(path)}"):
                self._storage.delete(partial)


def _text(signed: bytes | None) -> str:
    """What a checkpoint says, whoever has signed it."""
    return notes.parse_note(signed or b"")[0]
