"""Proofs: all vectors of the reference implementation, and random trees against a slow one."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_logs import from_base64, log_of, reference_root

from node.errors import LogError
from node.ledger.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    is_subtree,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)
from node.ledger.tlog.tree import Tree

KINDS = {"inclusion": 98, "consistency": 98, "subtreeinclusion": 204, "subtreeconsistency": 118}


def run(kind: str, vector: dict[str, object]) -> None:
    proof = [from_base64(each) for each in vector["proof"] or []]
    root, root1, root2, leaf = (
        from_base64(vector.get(name) or "") for name in ("root", "root1", "root2", "leafHash")
    )
    match kind:
        case "inclusion":
            verify_inclusion(
                index=vector["leafIdx"], size=vector["treeSize"], leaf=leaf, proof=proof, root=root
            )
        case "consistency":
            verify_consistency(
                size1=vector["size1"],
                size2=vector["size2"],
                root1=root1,
                root2=root2,
                proof=proof,
            )
        case "subtreeinclusion":
            verify_subtree_inclusion(
                index=vector["leafIdx"],
                start=vector["start"],
                end=vector["end"],
                leaf=leaf,
                proof=proof,
                root=root,
            )
        case "subtreeconsistency":
            verify_subtree_consistency(
                start=vector["start"],
                end=vector["end"],
                size=vector["size"],
                subtree=root1,
                root=root2,
                proof=proof,
            )


def held(kind: str, vector: dict[str, object]) -> bool:
    try:
        run(kind, vector)
    except LogError:
        return False
    return True


@pytest.mark.shared
@pytest.mark.parametrize("kind", KINDS)
def test_all_vectors_of_the_reference_implementation(kind: str, shared_data: Path) -> None:
    files = sorted((shared_data / "tlog" / "merkle" / "testdata" / kind).rglob("*.json"))
    assert len(files) == KINDS[kind]
    wrong = []
    for file in files:
        vector = json.loads(file.read_text())
        if held(kind, vector) is vector["wantErr"]:
            wrong.append(f"{file.parent.name}/{file.name}")
    assert wrong == []


# --- random trees -------------------------------------------------------------------------------

ENTRIES = [str(number).encode() for number in range(700)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
FILES = log_of(ENTRIES)
sizes = st.integers(1, len(ENTRIES)) | st.sampled_from([1, 2, 255, 256, 257, 511, 512, 513])


@lru_cache(maxsize=2048)
def root(size: int, start: int = 0) -> bytes:
    return reference_root(LEAVES[start:size])


@lru_cache(maxsize=2048)
def tree(size: int) -> Tree:
    # a log of exactly this size, as its partial tiles have its widths
    return Tree(size, log_of(ENTRIES[:size]))


@given(sizes)
@settings(max_examples=40, deadline=None)
def test_the_root_over_tiles_is_that_of_rfc_6962(size: int) -> None:
    assert tree(size).root() == root(size)
    frontier = Frontier(size, tree(size).frontier())
    assert frontier.root() == root(size)


@given(sizes, st.data())
@settings(max_examples=60, deadline=None)
def test_an_inclusion_proof_from_tiles_holds_and_no_other_does(size: int, data: st.DataObject):
    index = data.draw(st.integers(0, size - 1))
    proof = tree(size).inclusion(index)
    assert tree(size).leaf(index) == LEAVES[index]
    given_ = {"size": size, "leaf": LEAVES[index], "proof": proof, "root": root(size)}
    verify_inclusion(index=index, **given_)
    for changed in ({"index": index + 1}, {"index": index, "root": EMPTY_ROOT}):
        with pytest.raises(LogError):
            verify_inclusion(**(given_ | changed))
    if proof:
        at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(proof[at], "big") ^ (1 << bit)).to_bytes(32, "big")
        with pytest.raises(LogError):
            verify_inclusion(
                index=index, **(given_ | {"proof": [*proof[:at], flipped, *proof[at + 1 :]]})
            )


@given(sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_a_consistency_proof_from_tiles_holds_and_no_other_does(one: int, two: int) -> None:
    small, large = sorted((one, two))
    proof = tree(large).consistency(small)
    given_ = {"size1": small, "size2": large, "root1": root(small), "root2": root(large)}
    verify_consistency(proof=proof, **given_)
    with pytest.raises(LogError):
        verify_consistency(proof=[*proof, EMPTY_ROOT], **given_)
    if proof:
        with pytest.raises(LogError):
            verify_consistency(proof=proof[1:], **given_)
    with pytest.raises(LogError):
        verify_consistency(proof=proof, **(given_ | {"root1": EMPTY_ROOT}))


@given(sizes, st.integers(0, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_a_subtree_is_included_in_its_own_root(size: int, height: int, data: st.DataObject):
    start = data.draw(st.integers(0, (size - 1) >> height)) << height
    end = min(size, start + data.draw(st.integers(1, 1 << height)))
    index = data.draw(st.integers(start, end - 1))
    assert is_subtree(start, end)
    proof = [
        *Tree(end - start, log_of(ENTRIES[start:end])).inclusion(index - start),
    ]
    verify_subtree_inclusion(
        index=index, start=start, end=end, leaf=LEAVES[index], proof=proof, root=root(end, start)
    )


@given(st.lists(st.integers(0, 4), max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_frontier_grows_by_single_leaves_or_by_whole_subtrees(heights: list[int]) -> None:
    grown, size = Frontier(), 0
    for height in heights:
        count = 1 << height
        if size % count or size + count > len(LEAVES):
            continue
        grown.append_perfect(root(size + count, size), count)
        size += count
        assert grown.root() == root(size)
    assert grown.size == size


def test_a_proof_that_starts_from_an_empty_tree_proves_nothing() -> None:
    with pytest.raises(LogError):
        verify_consistency(size1=0, size2=5, root1=EMPTY_ROOT, root2=root(5), proof=[])


def test_a_tree_refuses_what_it_does_not_reach() -> None:
    for asked in (
        lambda: tree(5).inclusion(5),
        lambda: tree(5).leaf(-1),
        lambda: tree(5).consistency(6),
        lambda: tree(5).consistency(0),
        lambda: Frontier(3, [EMPTY_ROOT]),
        lambda: Frontier(1, [b"short"]),
    ):
        with pytest.raises(LogError):
            asked()
    assert Tree(0, FILES).root() == EMPTY_ROOT
