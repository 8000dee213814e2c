"""The Merkle tree of RFC 6962: hashes, and proofs checked without the tree.

A proof that does not hold raises; there is no result to forget to look at. Sizes and indexes are
arguments of the verifier, never taken from the proof.

Subtrees ``[start, end)`` are those of C2SP tlog-cosignature: ``start`` is a multiple of the
smallest power of two that is not less than ``end - start``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from node.errors import LogError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without entries."""

MAX_SIZE: Final = 2**63 - 1
"""Entries of the largest tree."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of ``0x00`` and the entry (RFC 6962 2.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of ``0x01`` and both halves (RFC 6962 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def split(size: int) -> int:
    """The largest power of two below ``size`` (2 or more): where a tree divides."""
    return 1 << ((size - 1).bit_length() - 1)


def is_subtree(start: int, end: int) -> bool:
    """Whether ``[start, end)`` is a subtree that may be proved or signed; it may be empty."""
    if not 0 <= start <= end:
        return False
    return start == end or start % (1 << (end - start - 1).bit_length()) == 0


def verify_inclusion(
    *, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf hash is at ``index`` of the tree with this size and root.

    Raises:
        LogError: ``log-proof-invalid``.
    """
    _check_hashes((leaf, root, *proof))
    if not 0 <= index < size:
        raise _invalid(f"Entry {index} is not in a tree of {size} entries.")
    # RFC 9162 2.1.3.2; `last` is the index of the last node of the row
    place, last, result = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise _invalid("The inclusion proof is too long.")
        if place & 1 or place == last:
            result = node_hash(step, result)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            result = node_hash(result, step)
        place, last = place >> 1, last >> 1
    if last:
        raise _invalid("The inclusion proof is too short.")
    if result != root:
        raise _mismatch("The inclusion proof leads to another root.", root, result)


def verify_consistency(
    *, size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the larger tree begins with the smaller one.

    A proof from an empty tree proves nothing and is refused; the witness protocol, where ``old 0``
    is allowed, must not come here with it.

    Raises:
        LogError: ``log-proof-invalid``.
    """
    if size1 < 1:
        raise _invalid("Nothing can be proved to begin with an empty tree.")
    verify_subtree_consistency(
        start=0, end=size1, size=size2, subtree=root1, root=root2, proof=proof
    )


def verify_subtree_inclusion(
    *, index: int, start: int, end: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf hash is at ``index`` of the subtree ``[start, end)`` with this root.

    Raises:
        LogError: ``log-proof-invalid``.
    """
    if not is_subtree(start, end):
        raise _invalid(f"{start} to {end} is not a subtree.")
    verify_inclusion(index=index - start, size=end - start, leaf=leaf, proof=proof, root=root)


def verify_subtree_consistency(
    *, start: int, end: int, size: int, subtree: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the subtree ``[start, end)`` is part of the tree with this size and root.

    An empty subtree is part of every tree that reaches it; only its hash is checked.

    Raises:
        LogError: ``log-proof-invalid``.
    """
    if not (is_subtree(start, end) and end <= size):
        raise _invalid(f"{start} to {end} is not a subtree of a tree of {size} entries.")
    if start == end:
        if proof or subtree != EMPTY_ROOT:
            raise _invalid("An empty subtree has the empty root and no proof.")
        return
    if proof:  # without one nothing is hashed, both roots are only compared
        _check_hashes((subtree, root, *proof))
    made_subtree, made_root = _both_roots(start, end - 1, size - 1, subtree, proof)
    if made_subtree != subtree:
        raise _mismatch("The consistency proof leads to another root.", subtree, made_subtree)
    if made_root != root:
        raise _mismatch("The consistency proof leads to another root.", root, made_root)


def _both_roots(
    first: int, last: int, end: int, subtree: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """The subtree's and the tree's root that a proof leads to.

    ``first``, ``last`` and ``end`` are the subtree's first and last node and the tree's last node,
    in the row that the proof has reached.
    """
    shift = _common_rows(first, last, end)
    first, last, end = first >> shift, last >> shift, end >> shift
    steps = list(proof)
    if first == last:
        small = large = subtree
    elif steps:
        small = large = steps.pop(0)
    else:
        raise _invalid("The consistency proof is too short.")
    for step in steps:
        if end == 0:
            raise _invalid("The consistency proof is too long.")
        if last & 1 or last == end:
            if first < last:
                small = node_hash(step, small)
            large = node_hash(step, large)
            while not last & 1 and last:
                first, last, end = first >> 1, last >> 1, end >> 1
        else:
            large = node_hash(large, step)
        first, last, end = first >> 1, last >> 1, end >> 1
    if end:
        raise _invalid("The consistency proof is too short.")
    return small, large


def _common_rows(first: int, last: int, end: int) -> int:
    """The rows in which the subtree's part of a consistency proof needs no hash."""
    rows = 0
    while first >> rows != last >> rows and (last == end or last >> rows & 1):
        rows += 1
    return rows


class Frontier:
    """A tree that only grows: its size, and the roots of its perfect subtrees from the left.

    Holds 63 hashes at most, however large the tree is.
    """

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        """The tree of ``size`` entries whose perfect subtrees, largest first, have these roots.

        Raises:
            LogError: ``log-proof-invalid`` when the roots are not as many as the size says.
        """
        self.size = size
        self._roots = list(roots)
        _check_hashes(self._roots)
        if len(self._roots) != size.bit_count():
            raise _invalid("The size and the number of subtrees do not belong together.")

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The roots of the perfect subtrees, largest first."""
        return tuple(self._roots)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.append_perfect(leaf, 1)

    def append_perfect(self, root: bytes, entries: int) -> None:
        """Add a perfect subtree of a power of two of entries; the size is a multiple of it."""
        bits = self.size // entries
        while bits & 1:
            root = node_hash(self._roots.pop(), root)
            bits >>= 1
        self._roots.append(root)
        self.size += entries

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self._roots:
            return EMPTY_ROOT
        result = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            result = node_hash(left, result)
        return result


def _check_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise _invalid(f"A hash is not {HASH_BYTES} bytes long.")


def _invalid(sentence: str) -> LogError:
    return LogError("log-proof-invalid", sentence)


def _mismatch(sentence: str, expected: bytes, found: bytes) -> LogError:
    detail = f"expected {expected.hex()}, found {found.hex()}"
    return LogError("log-proof-invalid", sentence, detail=detail)
