"""Tiles and bundles as C2SP's tlog-tiles names and cuts them, grown in any steps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audit.test_merkle import entries, naive

from matih_workers.audit import merkle, tiles
from matih_workers.audit.errors import Damaged


def test_paths() -> None:
    assert tiles.tile_path(0, 0) == "tile/0/000"
    assert tiles.tile_path(2, 1234067) == "tile/2/x001/x234/067"
    assert tiles.tile_path(0, 1000, 5) == "tile/0/x001/000.p/5"
    assert tiles.bundle_path(273, 112) == "tile/entries/273.p/112"


@settings(max_examples=15)
@given(steps=st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_growing_in_any_steps_gives_the_tiles_of_the_tree(steps: list[int]) -> None:
    leaves = entries(sum(steps))
    hashes = tiles.leaf_hashes(leaves)
    edge, written, size = tiles.Edge(), {}, 0
    for step in steps:
        before = edge.copy()
        written |= edge.append(hashes[size : size + step])
        assert before.size == size
        size += step
    assert edge.size == size
    assert edge.root() == naive(leaves)

    def tile(level: int, index: int) -> bytes:
        return written[tiles.tile_path(level, index, tiles.width_of(level, index, size))]

    nodes = tiles.nodes_from(tile)
    if size:
        assert merkle.range_hash(0, size, nodes) == naive(leaves)
        assert tiles.width_of(0, size // 256, size) == size % 256
        for index in {0, size // 2, size - 1}:
            proof = merkle.inclusion_proof(index, size, nodes)
            assert merkle.verify_inclusion(hashes[index], index, size, proof, edge.root())


def test_a_third_level() -> None:
    """65 536 leaves fill the first tile of level 1."""
    edge, hashes = tiles.Edge(), [merkle.leaf_hash(b"same")] * 65_600
    written = edge.append(hashes)
    assert len(written["tile/1/000"]) == 256 * 32
    assert written["tile/2/000.p/1"] == merkle.root_of(hashes[:65_536])
    assert edge.root() == merkle.root_of(hashes)


@given(some=st.lists(st.binary(max_size=300), max_size=256))
def test_bundles(some: list[bytes]) -> None:
    bundle = tiles.encode_bundle(some)
    assert tiles.decode_bundle(bundle, len(some)) == some
    with pytest.raises(Damaged):
        tiles.decode_bundle(bundle, len(some) + 1)
    if bundle:
        with pytest.raises(Damaged):
            tiles.decode_bundle(bundle[:-1], len(some))
