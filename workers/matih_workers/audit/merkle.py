"""The Merkle tree of RFC 6962, section 2.1: hashes, inclusion and consistency proofs. Pure.

Nodes are named as in tlog: the node (level, index) is the hash of the complete subtree of the 2**level leaves that
begin at index * 2**level. Proofs are verified as RFC 9162, sections 2.1.3.2 and 2.1.4.2, does it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

NodeHash = Callable[[int, int], bytes]
"""Gives the hash of the node (level, index)."""

_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node with these children."""
    return _sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes, or over the roots of complete subtrees of one size."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        row = [_sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)] + odd
    return row[0]


def range_hash(first: int, end: int, nodes: NodeHash) -> bytes:
    """RFC 6962's MTH of the leaves first to end - 1, where `first` is where such a subtree of the tree begins."""
    size = end - first
    if size == 0:
        return EMPTY_ROOT
    level = size.bit_length() - 1
    if size == 1 << level:
        return nodes(level, first >> level)
    middle = first + (1 << level)
    return node_hash(range_hash(first, middle, nodes), range_hash(middle, end, nodes))


def inclusion_proof(index: int, size: int, nodes: NodeHash) -> list[bytes]:
    """The proof that the leaf `index` is in the tree of `size` leaves: RFC 6962's PATH."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    proof, first, end = [], 0, size
    while end - first > 1:
        middle = first + (1 << ((end - first - 1).bit_length() - 1))
        if index < middle:
            proof.append(range_hash(middle, end, nodes))
            end = middle
        else:
            proof.append(range_hash(first, middle, nodes))
            first = middle
    return proof[::-1]


def consistency_proof(old: int, size: int, nodes: NodeHash) -> list[bytes]:
    """The proof that the tree of `size` leaves begins with the one of `old` leaves: RFC 6962's PROOF."""
    if not 0 < old <= size:
        raise ValueError(f"no tree of {old} leaves in one of {size}")
    proof, first, end, whole = [], 0, size, True
    while old != end:
        middle = first + (1 << ((end - first - 1).bit_length() - 1))
        if old <= middle:
            proof.append(range_hash(middle, end, nodes))
            end = middle
        else:
            proof.append(range_hash(first, middle, nodes))
            first, whole = middle, False
    if not whole:
        proof.append(range_hash(first, end, nodes))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that the leaf with this hash is number `index` of the tree with this root."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `size` leaves begins with the one of `old` leaves."""
    if old == size:
        return not proof and old_root == root
    if not 0 < old < size or not proof:
        return False
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    node, last = old - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    found_old = found = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            found_old, found = node_hash(sibling, found_old), node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found_old == old_root and found == root
