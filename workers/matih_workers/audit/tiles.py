"""How the log's tree is cut into files: C2SP's tlog-tiles. Pure.

A tile of level L holds up to 256 hashes of nodes of level 8 * L; the entries themselves stand in bundles of up to 256.
A file that is not full has its width in its name, `.p/<W>`. https://c2sp.org/tlog-tiles
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from matih_workers.audit.errors import Damaged
from matih_workers.audit.merkle import EMPTY_ROOT, HASH_BYTES, NodeHash, leaf_hash, root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WIDTH: Final = 256
HEIGHT: Final = 8
ENTRY_MAX: Final = 65_535
"""Bytes of an entry, at most: its length stands in two."""
_PARTIAL: Final = re.compile(r"tile/(\d+|entries)/((?:x\d{3}/)*\d{3})\.p/(\d+)")
_FILE: Final = re.compile(r"tile/(\d+|entries)/((?:x\d{3}/)*\d{3})(?:\.p/(\d+))?")
_LENGTH: Final = struct.Struct(">H")


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Where a tile stands, from the log's root."""
    return f"tile/{level}/{_index(index)}{_partial(width)}"


def bundle_path(index: int, width: int = WIDTH) -> str:
    """Where a bundle of entries stands, from the log's root."""
    return f"tile/entries/{_index(index)}{_partial(width)}"


def partial_folder(full_path: str) -> str:
    """The folder of the files that a full one makes superfluous."""
    return f"{full_path}.p"


def covered_by(path: str, size: int) -> bool | None:
    """Whether a log of `size` has the tile or bundle at this path, as wide as it is named; None for another path."""
    match = _FILE.fullmatch(path)
    if match is None:
        return None
    index = int(match[2].replace("x", "").replace("/", ""))
    level = 0 if match[1] == "entries" else int(match[1])
    return int(match[3] or WIDTH) <= width_of(level, index, size)


def partial_file(path: str) -> tuple[int | None, int, int] | None:
    """The level (None for a bundle), the index and the width that the path of a partial file names; None if none."""
    match = _PARTIAL.fullmatch(path)
    if match is None:
        return None
    index = int(match[2].replace("x", "").replace("/", ""))
    return None if match[1] == "entries" else int(match[1]), index, int(match[3])


def width_of(level: int, index: int, size: int) -> int:
    """How many hashes the tile has in a tree of `size` leaves: 0 to 256."""
    return max(0, min(WIDTH, (size >> (HEIGHT * level)) - index * WIDTH))


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """A bundle's bytes: each entry behind its length."""
    return b"".join([_LENGTH.pack(len(entry)) + entry for entry in entries])


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        Damaged: it is torn, or has another number of them.
    """
    found, at, end = [], 0, len(data)
    while at + 2 <= end:
        begin = at + 2
        at = begin + (data[begin - 2] << 8 | data[begin - 1])
        found.append(data[begin:at])
    if at != end or len(found) != width:
        raise Damaged(f"the bundle has {len(found)} whole entries in {end} bytes, and should have {width}")
    return found


def hashes_of(tile: bytes) -> list[bytes]:
    """The hashes in a tile."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


class Edge:
    """The right edge of a growing tree: of each level the hashes that do not fill a tile yet.

    It is all that is needed to append, and to know the root.
    """

    def __init__(self, size: int = 0, rows: Sequence[Sequence[bytes]] = ()) -> None:
        """The edge of a tree of `size` leaves; `rows` are the partial tiles' hashes, from level 0 on."""
        self.size = size
        self._rows = [list(row) for row in rows]

    def copy(self) -> Edge:
        """Another one that may grow while this one stays."""
        return Edge(self.size, self._rows)

    def append(self, leaves: Sequence[bytes]) -> dict[str, bytes]:
        """Appends leaf hashes; returns the tiles that have to be written, by path, full and partial ones."""
        written: dict[str, bytes] = {}
        level, new, size = 0, list(leaves), self.size
        self.size += len(new)
        while new:
            if level == len(self._rows):
                self._rows.append([])
            row = self._rows[level] + new
            index = (size >> (HEIGHT * level)) // WIDTH
            new = []
            full = len(row) // WIDTH
            for number in range(full):
                tile = row[number * WIDTH : (number + 1) * WIDTH]
                written[tile_path(level, index + number)] = b"".join(tile)
                new.append(root_of(tile))
            self._rows[level] = row[full * WIDTH :]
            if self._rows[level]:
                width = len(self._rows[level])
                written[tile_path(level, index + full, width)] = b"".join(self._rows[level])
            level += 1
        return written

    def partial_tiles(self) -> dict[str, bytes]:
        """The tiles that are not full, by path."""
        found = {}
        for level, row in enumerate(self._rows):
            if row:
                index = (self.size >> (HEIGHT * level)) // WIDTH
                found[tile_path(level, index, len(row))] = b"".join(row)
        return found

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        right: bytes | None = None
        for row in self._rows:
            hashes = row if right is None else [*row, right]
            # The last hash may stand for fewer leaves than the others: RFC 6962 splits so too.
            right = root_of(hashes) if hashes else None
        return EMPTY_ROOT if right is None else right


def nodes_from(tile: Callable[[int, int], bytes]) -> NodeHash:
    """Any node's hash, from tiles.

    Args:
        tile: gives the bytes of the tile (level, index), as wide as the tree makes it.
    """

    def node(level: int, index: int) -> bytes:
        tile_level, inside = divmod(level, HEIGHT)
        first = index << inside
        data = tile(tile_level, first // WIDTH)
        at = (first % WIDTH) * HASH_BYTES
        count = 1 << inside
        if at + count * HASH_BYTES > len(data):
            raise Damaged(f"tile {tile_path(tile_level, first // WIDTH)} lacks hash {first % WIDTH + count - 1}")
        return root_of(hashes_of(data[at : at + count * HASH_BYTES]))

    return node


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The leaf hash of each entry."""
    return [leaf_hash(entry) for entry in entries]


def _index(index: int) -> str:
    """The path of an index, as tlog has it: three digits a folder, all but the last behind an x."""
    parts = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        parts.append(f"x{index % 1000:03}")
    return "/".join(reversed(parts))


def _partial(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"
