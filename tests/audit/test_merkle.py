"""The tree against RFC 6962's published vectors, and against the definition, written down naively."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matih_workers.audit import merkle, tiles

# From certificate-transparency's reference tests (merkletree/tree_hasher and merkle_tree tests).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
COUNTS = st.integers(1, 600)


def naive(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962, section 2.1 defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive(leaves[:k]) + naive(leaves[k:])).digest()


def entries(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def nodes_of(leaves: list[bytes]) -> merkle.NodeHash:
    return lambda level, index: naive(leaves[index << level : (index + 1) << level])


def test_published_roots() -> None:
    for count, root in enumerate(ROOTS, 1):
        hashes = tiles.leaf_hashes(LEAVES[:count])
        edge = tiles.Edge()
        edge.append(hashes)
        assert merkle.root_of(hashes).hex() == root
        assert edge.root().hex() == root
        assert naive(LEAVES[:count]).hex() == root
    assert tiles.Edge().root() == naive([])


@settings(max_examples=40)
@given(count=COUNTS, data=st.data())
def test_inclusion(count: int, data: st.DataObject) -> None:
    leaves = entries(count)
    index = data.draw(st.integers(0, count - 1))
    root, leaf = naive(leaves), merkle.leaf_hash(leaves[index])
    proof = merkle.inclusion_proof(index, count, nodes_of(leaves))
    assert merkle.verify_inclusion(leaf, index, count, proof, root)
    other = data.draw(st.integers(0, count).filter(lambda number: number != index))
    assert not merkle.verify_inclusion(leaf, other, count, proof, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, count, proof, root)
    for cut in range(len(proof)):
        assert not merkle.verify_inclusion(leaf, index, count, proof[:cut], root)
    assert not merkle.verify_inclusion(leaf, index, count, [*proof, root], root)


@settings(max_examples=40)
@given(count=COUNTS, data=st.data())
def test_consistency(count: int, data: st.DataObject) -> None:
    leaves = entries(count)
    old = data.draw(st.integers(1, count))
    old_root, root = naive(leaves[:old]), naive(leaves)
    proof = merkle.consistency_proof(old, count, nodes_of(leaves))
    assert merkle.verify_consistency(old, old_root, count, root, proof)
    forged = naive([*leaves[: old - 1], b"forged"])
    assert not merkle.verify_consistency(old, forged, count, root, proof)
    assert not merkle.verify_consistency(old, old_root, count, forged, proof)
    if proof:
        assert not merkle.verify_consistency(old, old_root, count, root, proof[:-1])
        assert not merkle.verify_consistency(old, old_root, count, root, [*proof[:-1], forged])


def test_no_proof_of_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="no leaf 3"):
        merkle.inclusion_proof(3, 3, nodes_of(entries(3)))
    with pytest.raises(ValueError, match="no tree of 4"):
        merkle.consistency_proof(4, 3, nodes_of(entries(3)))
