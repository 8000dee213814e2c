"""Signed notes, checkpoints, cosignatures, proofs and policies: formats and what they refuse."""

from __future__ import annotations

import base64
import string
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_logs import TESSERA_KEY, key_of, seeded_key

from node.errors import LogError
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.cosignature import checks, cosign, cosign_mldsa44, subtree_message
from node.ledger.tlog.merkle import EMPTY_ROOT
from node.ledger.tlog.note import (
    MAX_SIGNATURES,
    KeyType,
    Note,
    Signature,
    VerifierKey,
    from_base64,
    parse_note,
    parse_verifier_key,
    signed,
    verified,
)
from node.ledger.tlog.policy import Policy, accept, of_log, parse_policy
from node.ledger.tlog.proof import TlogProof, parse_proof

ORIGIN = "log.test.example/exchange/2026"
PRIVATE = seeded_key(ORIGIN)
LOG = key_of(PRIVATE, ORIGIN, KeyType.ED25519_NOTE)
CHECKPOINT = Checkpoint(origin=ORIGIN, size=7, root=b"\x07" * 32)


def witness(name: str) -> tuple[Ed25519PrivateKey, VerifierKey]:
    private = seeded_key(name)
    return private, key_of(private, name, KeyType.ED25519_COSIGNATURE)


def checkpoint_note(*names: str, at: int = 1_700_000_000, point: Checkpoint = CHECKPOINT) -> bytes:
    """Signed by the log and cosigned by witnesses of these names."""
    note = signed(point.text, [(LOG, PRIVATE.sign)])
    lines = [*note.signatures]
    for name in names:
        private, key = witness(name)
        value = cosign(point.text, at, private.sign)
        lines.append(Signature(name=name, key_id=key.key_id, value=value))
    return bytes(Note(text=note.text, signatures=tuple(lines)))


# --- keys ---------------------------------------------------------------------------------------


def test_a_verifier_key_comes_back_as_it_was_written() -> None:
    key = parse_verifier_key(TESSERA_KEY)
    assert (key.name, key.kind) == ("example.com/log/testdata", KeyType.ED25519_NOTE)
    assert str(key) == TESSERA_KEY
    assert parse_verifier_key(str(LOG)) == LOG


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+33d7b496",
        TESSERA_KEY.replace("example", "examples"),
        TESSERA_KEY.replace("33d7b496", "33D7B496"),
        TESSERA_KEY.replace("33d7b496", "33d7b497"),
        TESSERA_KEY + "=",
        TESSERA_KEY + "\n",
        f"n+00000000+{b64(b'')}",
        f"n+00000000+{b64(bytes([2]) + bytes(32))}",
        f"n+00000000+{b64(bytes([1]) + bytes(31))}",
        f"+00000000+{b64(bytes([1]) + bytes(32))}",
        f"a b+00000000+{b64(bytes([1]) + bytes(32))}",
    ],
)
def test_a_verifier_key_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(LogError) as raised:
        parse_verifier_key(text)
    assert raised.value.code == "log-key-invalid"


# --- notes --------------------------------------------------------------------------------------

names = st.text(string.ascii_letters + "./-\u00e9", min_size=1, max_size=20)
texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=60)


@given(
    st.lists(texts, min_size=1, max_size=5),
    st.lists(st.tuples(names, st.binary(min_size=1, max_size=80)), min_size=1, max_size=5),
)
@settings(max_examples=30, deadline=None)
def test_a_note_comes_back_as_it_was_written(lines: list[str], given_: list) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    signatures = tuple(Signature(name=n, key_id=b"\0\1\2\3", value=v) for n, v in given_)
    note = Note(text=text, signatures=signatures)
    # a text that is nothing but an end of line has no place before the blank line
    if text != b"\n" * len(text):
        assert parse_note(bytes(note)) == note


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_note_that_comes_back_or_an_error(data: bytes) -> None:
    for prefix in (b"", b"text\n\n\xe2\x80\x94 name "):
        with suppress(LogError):
            assert bytes(parse_note(prefix + data)) == prefix + data


GOOD = checkpoint_note()
MARK = "\u2014 "


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD.replace(b"\n\n", b"\n"),
        GOOD[:-1],
        GOOD + b"\n",
        GOOD + b"x\n",
        GOOD.replace(MARK.encode(), b"- "),
        GOOD.replace(MARK.encode(), MARK.encode() + b" "),
        GOOD.replace(ORIGIN.encode(), ORIGIN.encode() + b"\x07"),
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(ORIGIN.encode(), b"\xff"),
        GOOD.replace(f"{MARK}{ORIGIN}".encode(), f"{MARK}a+b".encode()),
        GOOD.replace(f"{MARK}{ORIGIN}".encode(), f"{MARK}a\u00a0b".encode()),
        f"text\n\n{MARK}name {b64(b'four')}\n".encode(),
        f"text\n\n{MARK}name {b64(b'fours')[:-1]}\n".encode(),
        b"x" * 600_000,
    ],
)
def test_a_note_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(LogError) as raised:
        accept(of_log(LOG), data)
    assert raised.value.code == "log-note-invalid"


def test_signatures_are_counted_16_are_taken_and_too_many_refused() -> None:
    line = Signature(name="other", key_id=b"\0\0\0\0", value=b"x").line.encode() + b"\n"
    assert accept(of_log(LOG), GOOD + 15 * line).checkpoint == CHECKPOINT
    with pytest.raises(LogError, match=str(MAX_SIGNATURES)):
        parse_note(GOOD + MAX_SIGNATURES * line)


@pytest.mark.parametrize("text", ["AA==\n", "AB==", "AA=", "AA", "A===", "AA==AA==", " AA==", "é"])
def test_base64_has_one_spelling(text: str) -> None:
    assert from_base64("AA==") == b"\0"
    with pytest.raises(LogError):
        from_base64(text)


def test_unknown_keys_are_passed_over_a_known_key_s_wrong_signature_is_not() -> None:
    other = Ed25519PrivateKey.generate()
    foreign = key_of(other, "other", KeyType.ED25519_NOTE)
    text = CHECKPOINT.text
    both = signed(text, [(foreign, other.sign), (LOG, PRIVATE.sign)])
    assert [each.name for each in verified(both, [LOG], checks)] == [ORIGIN]
    wrong = signed(text, [(foreign, PRIVATE.sign), (LOG, PRIVATE.sign)])
    assert verified(wrong, [LOG], checks)
    for keys in ([LOG, foreign], [key_of(other, ORIGIN, KeyType.ED25519_NOTE)], []):
        with pytest.raises(LogError) as raised:
            verified(wrong, keys, checks)
        assert raised.value.code == "log-signature-invalid"


# --- checkpoints --------------------------------------------------------------------------------


@given(names, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(names))
@settings(max_examples=100, deadline=None)
def test_a_checkpoint_comes_back_as_it_was_written(origin, size, root, more) -> None:
    point = Checkpoint(
        origin=origin, size=size, root=root if size else EMPTY_ROOT, extensions=tuple(more)
    )
    assert parse_checkpoint(point.text) == point


ROOT = b64(b"\x07" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "o\n7\n", f"o\n7\n{ROOT}", f"\n7\n{ROOT}\n", f"o\n07\n{ROOT}\n",
        f"o\n-7\n{ROOT}\n", f"o\n+7\n{ROOT}\n", f"o\n 7\n{ROOT}\n", f"o\n\u0667\n{ROOT}\n",
        f"o\n{2**63}\n{ROOT}\n", f"o\n7\n{b64(b'short')}\n", f"o\n7\n{ROOT}\n\nx\n",
        f"o\n0\n{ROOT}\n", f"o\n7\n{ROOT[:-2]}V=\n",
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(LogError):
        parse_checkpoint(text.encode())


def test_a_checkpoint_signed_under_another_origin_is_refused() -> None:
    moved = Checkpoint(origin="other.example", size=7, root=CHECKPOINT.root)
    data = bytes(signed(moved.text, [(LOG, PRIVATE.sign)]))
    with pytest.raises(LogError, match=r"of another log: other\.example"):
        accept(of_log(LOG), data)


# --- cosignatures -------------------------------------------------------------------------------


def test_a_cosignature_carries_its_time() -> None:
    _, key = witness("witness.example/w1")
    policy = Policy(logs=(LOG,), witnesses={"w": key}, quorum="w")
    found = accept(policy, checkpoint_note("witness.example/w1", at=1_700_000_001))
    assert found.witnessed == {"w": 1_700_000_001}


def test_a_cosignature_holds_for_its_time_and_text_only() -> None:
    private, key = witness("w")
    value = cosign(CHECKPOINT.text, 5, private.sign)
    assert checks(key, CHECKPOINT.text, value)
    assert not checks(key, CHECKPOINT.text + b"x\n", value)
    assert not checks(key, CHECKPOINT.text, (6).to_bytes(8, "big") + value[8:])
    late = cosign(CHECKPOINT.text, 2**63, private.sign)
    assert not checks(key, CHECKPOINT.text, late)
    for cut in (b"", value[:7], value[:8], value[:-1], value + b"x"):
        assert not checks(key, CHECKPOINT.text, cut)


def test_an_ml_dsa_44_cosignature_binds_name_origin_size_and_root() -> None:
    private = MLDSA44PrivateKey.generate()
    key = VerifierKey(
        name="w.example",
        kind=KeyType.MLDSA44_COSIGNATURE,
        public=private.public_key().public_bytes_raw(),
    )
    assert parse_verifier_key(str(key)) == key
    value = cosign_mldsa44(key.name, CHECKPOINT, 9, private.sign)
    assert len(value) == 8 + 2420
    assert checks(key, CHECKPOINT.text, value)
    # SPEC: extension lines are not part of the message
    assert checks(key, CHECKPOINT.text + b"extension\n", value)
    renamed = VerifierKey(name="v.example", kind=key.kind, public=key.public)
    assert not checks(renamed, CHECKPOINT.text, value)
    for other in (
        Checkpoint(origin="o", size=7, root=CHECKPOINT.root),
        Checkpoint(origin=ORIGIN, size=8, root=CHECKPOINT.root),
        Checkpoint(origin=ORIGIN, size=7, root=b"\x08" * 32),
    ):
        assert not checks(key, other.text, value)
    assert not checks(key, b"no checkpoint\n", value)
    assert not checks(key, CHECKPOINT.text, b"\xff" + value[1:])


def test_the_message_of_an_ml_dsa_44_cosignature_byte_for_byte() -> None:
    point = Checkpoint(origin="log", size=258, root=b"r" * 32)
    assert subtree_message("wit", 1, point) == (
        b"subtree/v1\n\x00" + b"\x03wit" + bytes(7) + b"\x01" + b"\x03log"
        + bytes(8) + bytes(6) + b"\x01\x02" + b"r" * 32
    )  # fmt: skip
    with pytest.raises(LogError):
        subtree_message("n" * 256, 1, point)


# --- policies -----------------------------------------------------------------------------------

W = {name: str(witness(f"{name}.example")[1]) for name in ("x1", "x2", "x3", "y1", "y2")}
EXAMPLE = f"""\
# two groups
log {LOG} https://log.example/
witness x1 {W["x1"]}
 witness\tx2 {W["x2"]} https://x2.example/
witness x3 {W["x3"]}
group X 2 x1 x2 x3
witness y1 {W["y1"]}
witness y2 {W["y2"]}
group Y any y1 y2

group both all X Y
quorum both
"""


@pytest.mark.parametrize(
    ("signing", "met"),
    [
        ({"x1", "x2", "y1"}, True),
        ({"x2", "x3", "y2"}, True),
        ({"x1", "x2", "x3"}, False),
        ({"x1", "y1", "y2"}, False),
        (set(), False),
    ],
)
def test_a_quorum_of_groups(signing: set[str], met: bool) -> None:
    policy = parse_policy(EXAMPLE.encode())
    assert policy.is_met(signing) is met
    data = checkpoint_note(*(f"{name}.example" for name in sorted(signing)))
    if met:
        assert set(accept(policy, data).witnessed) == signing
    else:
        with pytest.raises(LogError) as raised:
            accept(policy, data)
        assert raised.value.code == "log-quorum-missing"


def test_without_a_quorum_the_log_s_own_signature_is_enough() -> None:
    policy = parse_policy(f"log {LOG}\nquorum none\n".encode())
    assert accept(policy, GOOD).checkpoint == CHECKPOINT


def test_a_known_witness_s_wrong_cosignature_is_refused_even_beyond_the_quorum() -> None:
    policy = parse_policy(f"log {LOG}\nwitness a {W['x1']}\nquorum none\n".encode())
    _, key = witness("x1.example")
    wrong = Signature(name=key.name, key_id=key.key_id, value=bytes(72)).line
    with pytest.raises(LogError) as raised:
        accept(policy, GOOD + f"{wrong}\n".encode())
    assert raised.value.code == "log-signature-invalid"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "no quorum"),
        ("quorum none\nquorum none", "Line 2 of the policy is a second quorum"),
        ("quorum X", "no line before"),
        ("frobnicate", "not a line of a policy"),
        ("group G 1\nquorum none", "not a line"),
        (f"witness none {W['x1']}\nquorum none", "taken"),
        (f"witness a {W['x1']}\nwitness a {W['x2']}\nquorum none", "Line 2"),
        (f"witness a {W['x1']}\nwitness b {W['x1']}\nquorum none", "that another line has"),
        (f"witness a {LOG}\nquorum none", "signs something else"),
        (f"log {W['x1']}\nquorum none", "signs something else"),
        (f"witness a {W['x1']}\ngroup G 2 a\nquorum G", "threshold"),
        (f"witness a {W['x1']}\ngroup G 0 a\nquorum G", "threshold"),
        (f"witness a {W['x1']}\ngroup G 01 a\nquorum G", "threshold"),
        (f"witness a {W['x1']}\ngroup G all a a\nquorum G", "in a group already"),
        (f"witness a {W['x1']}\ngroup G all a\ngroup H all a\nquorum G", "in a group already"),
        ("group G all none\nquorum G", "no line before"),
        ("group G all G\nquorum G", "no line before"),
        ("quorum none\x01", "control"),
        ("quorum none\r", "control"),
        ("quorum\u00a0none", "not a line"),
        ("#" * 300_000, "longer"),
    ],
)
def test_a_policy_of_another_form_names_its_line(lines: str, says: str) -> None:
    with pytest.raises(LogError, match=says):
        parse_policy(f"{lines}\n".encode())


def test_a_policy_has_a_limit() -> None:
    keys = (
        f"log {key_of(Ed25519PrivateKey.generate(), 'l', KeyType.ED25519_NOTE)}" for _ in range(300)
    )
    with pytest.raises(LogError, match="256"):
        parse_policy("\n".join(keys).encode())


# --- proofs -------------------------------------------------------------------------------------


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(max_size=50),
)
@settings(max_examples=60, deadline=None)
def test_a_proof_comes_back_as_it_was_written(index, hashes, extra) -> None:
    proof = TlogProof(index=index, hashes=tuple(hashes), checkpoint=GOOD, extra=extra)
    assert parse_proof(bytes(proof)) == proof


HEAD = "c2sp.org/tlog-proof@v1\n"


@pytest.mark.parametrize(
    "head",
    [
        "", "c2sp.org/tlog-proof@v2\nindex 1\n\n", f"{HEAD}\n", f"{HEAD}index 01\n\n",
        f"{HEAD}index x\n\n", f"{HEAD}index 1\nAA==\n\n", f"{HEAD}index 1\nextra AA==\n\n",
        f"{HEAD}extra AA=\nindex 1\n\n", f"{HEAD}index 1\n" + f"{ROOT}\n" * 64 + "\n",
        f"{HEAD}index 1\n", f"{HEAD}index \u0661\n\n",
    ],
)  # fmt: skip
def test_a_proof_of_another_form_is_refused(head: str) -> None:
    with pytest.raises(LogError):
        parse_proof(head.encode() + (GOOD if head.endswith("\n\n") else b""))


@pytest.mark.shared
def test_the_example_of_the_worked_policy(shared_data: Path) -> None:
    folder = shared_data / "tlog" / "self-made" / "log"
    policy = parse_policy((folder / "policy.txt").read_bytes())
    found = accept(policy, (folder / "checkpoint").read_bytes())
    assert (found.checkpoint.size, set(found.witnessed)) == (300, {"B", "C"})
