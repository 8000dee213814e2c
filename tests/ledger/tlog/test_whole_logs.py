"""Whole logs: the reference implementation's, the worked example, and what a changed bit does."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sample_logs import (
    TESSERA_KEY,
    Files,
    audited,
    canonical,
    from_base64,
    key_of,
    log_of,
    on_disk,
    root_of,
    seeded_key,
)

from node.errors import LogError
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.cosignature import cosign
from node.ledger.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from node.ledger.tlog.note import KeyType, Note, Signature, parse_verifier_key, signed
from node.ledger.tlog.policy import accept, of_log, parse_policy
from node.ledger.tlog.proof import TlogProof, parse_proof, verify_proof
from node.ledger.tlog.tiles import Tile, bundles_of, parse_path, tiles_of
from node.ledger.tlog.tree import Tree

pytestmark = pytest.mark.shared

ORIGIN = "log.node-a.example/exchange/2026"
WITNESSES = {"witness.node-b.example/w1": 3, "witness.node-c.example/w1": 4}
SIZES = (0, 1, 2, 255, 256, 257, 300)


# --- the log of the reference implementation ----------------------------------------------------


def test_every_checkpoint_tile_and_bundle_of_tessera_s_log_holds(shared_data: Path) -> None:
    files = on_disk(shared_data / "tlog" / "tessera-testlog" / "testdata" / "log")
    policy = of_log(parse_verifier_key(TESSERA_KEY))
    names = sorted(name for name in files if name.startswith("checkpoint"))
    points = [accept(policy, files[name]).checkpoint for name in names]
    assert len(points) == 17  # checkpoint.0 to .15, and the newest once more
    assert {point.size for point in points} == set(range(16))
    for point in points:
        result = audited(files, point, known=[p for p in points if p.size < point.size])
        assert (result.findings, result.entries) == ([], point.size)
    by_size = {point.size: point for point in points}
    for large in range(1, 16):
        tree = Tree(large, files)
        for small in range(1, large + 1):
            verify_consistency(
                size1=small,
                size2=large,
                root1=by_size[small].root,
                root2=by_size[large].root,
                proof=tree.consistency(small),
            )
        for index in range(large):
            verify_inclusion(
                index=index,
                size=large,
                leaf=tree.leaf(index),
                proof=tree.inclusion(index),
                root=by_size[large].root,
            )


# --- the worked example, byte for byte ----------------------------------------------------------


@cache
def _example(folder: Path) -> tuple[Files, dict[str, Any], list[dict[str, Any]]]:
    return (
        on_disk(folder / "log"),
        json.loads((folder / "vectors.json").read_text()),
        json.loads((folder / "records.json").read_text()),
    )


@pytest.fixture
def example(shared_data: Path) -> tuple[Files, dict[str, Any], list[dict[str, Any]]]:
    files, vectors, records = _example(shared_data / "tlog" / "self-made")
    return Files(files), vectors, records


def test_the_worked_example_is_made_again_from_its_seeds(example) -> None:
    files, vectors, records = example
    entries = [canonical(record["record"]) for record in records]
    assert entries[41].decode() == vectors["leaf41"]
    assert leaf_hash(entries[41]).hex() == vectors["leaf41_hash"]
    made = log_of(entries)
    assert made == {name: data for name, data in files.items() if name.startswith("tile/")}
    for size in SIZES:
        private = seeded_key(ORIGIN)
        assert private.private_bytes_raw().hex() == vectors["seeds"][ORIGIN]
        key = key_of(private, ORIGIN, KeyType.ED25519_NOTE)
        assert str(key) == vectors["vkeys"][0]
        point = Checkpoint(origin=ORIGIN, size=size, root=root_of(entries[:size]))
        note = signed(point.text, [(key, private.sign)])
        known = files[f"checkpoints/{size}"]
        assert known.startswith(bytes(note))
    witnesses = [
        (seeded_key(name), key_of(seeded_key(name), name, KeyType.ED25519_COSIGNATURE))
        for name in WITNESSES
    ]
    assert [str(key) for _, key in witnesses] == vectors["vkeys"][1:]
    found = accept(parse_policy(files["policy.txt"]), files["checkpoint"])
    lines = tuple(
        Signature(
            name=key.name,
            key_id=key.key_id,
            value=cosign(point.text, found.witnessed[name], private.sign),
        )
        for name, (private, key) in zip("BC", witnesses, strict=True)
    )
    assert bytes(Note(text=note.text, signatures=(*note.signatures, *lines))) == files["checkpoint"]


def test_the_proofs_of_the_worked_example_are_made_again(example) -> None:
    files, vectors, _ = example
    assert vectors["inclusion"]
    assert vectors["consistency"]
    # its partial tiles are those of 300 entries: smaller trees are read from the same entries
    entries = [canonical(record["record"]) for record in example[2]]
    for vector in vectors["inclusion"]:
        tree = Tree(vector["size"], log_of(entries[: vector["size"]]))
        proof = [from_base64(each) for each in vector["proof"]]
        assert list(tree.inclusion(vector["index"])) == proof
        verify_inclusion(
            index=vector["index"],
            size=vector["size"],
            leaf=from_base64(vector["leaf_hash"]),
            proof=proof,
            root=from_base64(vector["root"]),
        )
    for vector in vectors["consistency"]:
        tree = Tree(vector["size2"], log_of(entries[: vector["size2"]]))
        proof = [from_base64(each) for each in vector["proof"]]
        assert list(tree.consistency(vector["size1"])) == proof
        verify_consistency(
            size1=vector["size1"],
            size2=vector["size2"],
            root1=from_base64(vector["root1"]),
            root2=from_base64(vector["root2"]),
            proof=proof,
        )
    given_ = parse_proof(files["entry41.tlog-proof"])
    made = TlogProof(
        index=41, hashes=Tree(300, files).inclusion(41), checkpoint=files["checkpoint"]
    )
    assert bytes(made) == files["entry41.tlog-proof"] == bytes(given_)
    policy = parse_policy(files["policy.txt"])
    assert verify_proof(given_, leaf_hash(entries[41]), policy).checkpoint.size == 300
    with pytest.raises(LogError):
        verify_proof(given_, leaf_hash(entries[42]), policy)


# --- mutations ----------------------------------------------------------------------------------


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def test_any_single_bit_of_a_checkpoint_is_found(example) -> None:
    files, _, _ = example
    policy = parse_policy(files["policy.txt"])
    good = files["checkpoint"]
    for bit in range(8 * len(good)):
        with pytest.raises(LogError):
            accept(policy, flipped(good, bit))


def test_any_single_bit_of_tiles_and_bundles_is_found_and_named(example) -> None:
    files, _, _ = example
    policy = parse_policy(files["policy.txt"])
    key = parse_verifier_key(_log_key(files))
    known = [accept(of_log(key), files[f"checkpoints/{size}"]).checkpoint for size in SIZES]
    point = accept(policy, files["checkpoint"]).checkpoint
    assert audited(files, point, known).findings == []
    rng = random.Random(41)
    names = [tile.path for tile in (*tiles_of(300), *bundles_of(300))]
    for _ in range(800):
        name = rng.choice(names)
        bit = rng.randrange(8 * len(files[name]))
        changed = Files(files)
        changed[name] = flipped(files[name], bit)
        findings = audited(changed, point, known).findings
        assert findings, f"bit {bit} of {name}"
        first = findings[0]
        assert first.index is not None
        _check_place(first, parse_path(name), bit, files)


def _log_key(files: Files) -> str:
    return files["policy.txt"].decode().split()[1]


def _check_place(finding, tile: Tile, bit: int, files: Files) -> None:
    """The finding names the entry whose bit it is, both hashes, and the last good checkpoint."""
    if tile.level == 1:
        assert finding.code == "log-tile-changed"
        return
    place = bit // 8
    if tile.is_bundle:
        if finding.code == "log-tile-invalid":  # the bit was in a length
            assert tile.path in finding.sentence
            return
        # two lengths cannot both be right by accident: the bit is in the named entry
        within = _entry_at(files[tile.path], place)
        index = tile.number * 256 + within
    else:
        index = tile.number * 256 + place // 32
    assert finding.code == "log-entry-changed"
    assert finding.index == index
    assert finding.expected != finding.found
    sizes = [size for size in SIZES if 0 < size <= index]
    assert (finding.last_good.size if finding.last_good else None) == max(sizes, default=None)


def _entry_at(bundle: bytes, place: int) -> int:
    number, start = 0, 0
    while True:
        end = start + 2 + int.from_bytes(bundle[start : start + 2], "big")
        if place < end:
            return number
        number, start = number + 1, end


def test_what_is_missing_cut_or_swapped_is_named(example) -> None:
    files, _, _ = example
    point = accept(parse_policy(files["policy.txt"]), files["checkpoint"]).checkpoint

    def codes(**changes: bytes | None) -> set[str]:
        changed = Files(files)
        for name, data in changes.items():
            path = name.replace("__", "/")
            if data is None:
                del changed[path]
            else:
                changed[path] = data
        return {finding.code for finding in audited(changed, point).findings}

    first, last = files["tile/entries/000"], "tile/entries/001.p/44"
    assert codes(tile__entries__000=None) == {"log-file-missing"}
    assert codes(tile__0__000=None) == {"log-file-missing"}
    assert codes(tile__entries__000=first[:-1]) == {"log-tile-invalid"}
    assert codes(tile__entries__000=first + b"\0") == {"log-tile-invalid"}
    assert codes(tile__0__000=files["tile/0/000"][:-32]) == {"log-tile-invalid"}
    swapped = Files(files)
    swapped[last] = first[: len(files[last])]
    assert audited(swapped, point).findings
    foreign = Checkpoint(origin=ORIGIN, size=299, root=point.root)
    assert "log-root-differs" in {f.code for f in audited(files, foreign).findings}


def test_a_checkpoint_that_is_not_of_this_log_s_past_is_found(example) -> None:
    files, _, _ = example
    point = accept(parse_policy(files["policy.txt"]), files["checkpoint"]).checkpoint
    forked = Checkpoint(origin=ORIGIN, size=100, root=b"\x01" * 32)
    (finding,) = audited(files, point, [forked]).findings
    assert (finding.code, finding.expected) == ("log-root-differs", "01" * 32)
    assert "first 100 entries" in finding.sentence


def test_a_partial_tile_may_be_read_from_the_full_one(example) -> None:
    files, _, _ = example
    entries = [canonical(record["record"]) for record in example[2]]
    small = Checkpoint(origin=ORIGIN, size=200, root=root_of(entries[:200]))
    result = audited(files, small)
    assert (result.findings, result.entries) == ([], 200)


def test_findings_are_listed_up_to_a_limit_and_counted_beyond() -> None:
    entries = [bytes([n % 256, n // 256]) for n in range(1200)]
    files = log_of(entries)
    point = Checkpoint(origin="o", size=1200, root=root_of(entries))
    every = audited(
        files, point, check=lambda first, some: [(first + n, "No.") for n in range(len(some))]
    )
    assert (len(every.findings), every.more) == (1000, 200)
