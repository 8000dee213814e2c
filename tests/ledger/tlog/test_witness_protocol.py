"""The witness protocol of C2SP tlog-witness, pure: requests, verdicts, what a log believes."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from sample_logs import key_of, log_of, root_of, seeded_key

from node.errors import LogError
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.cosignature import cosign, time_of
from node.ledger.tlog.edge import tree_of
from node.ledger.tlog.merkle import EMPTY_ROOT
from node.ledger.tlog.note import (
    KeyType,
    Note,
    Signature,
    parse_note,
    parse_verifier_key,
    signed,
    to_base64,
)
from node.ledger.tlog.witness import (
    MAX_PROOF,
    MAX_REQUEST,
    AddCheckpoint,
    Seen,
    Verdict,
    checkpoint_path,
    cosignatures,
    parse_add_checkpoint,
    parse_size,
    shown_checkpoint,
    weigh,
)

ORIGIN = "log.test.example/exchange/2026"
PRIVATE = seeded_key(ORIGIN)
LOG = key_of(PRIVATE, ORIGIN, KeyType.ED25519_NOTE)
ENTRIES = [f"entry {n}".encode() for n in range(300)]
FILES = log_of(ENTRIES)
WITNESS_NAME = "witness.test.example/w1"
WITNESS_PRIVATE = seeded_key(WITNESS_NAME)
WITNESS = key_of(WITNESS_PRIVATE, WITNESS_NAME, KeyType.ED25519_COSIGNATURE)
NOW = 1_800_000_000


def at(size: int) -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=size, root=root_of(ENTRIES[:size]))


def note(point: Checkpoint, private=PRIVATE, key=LOG) -> Note:
    return signed(point.text, [(key, private.sign)])


def seen(size: int) -> Seen:
    return Seen(size=size, root=at(size).root)


def proof(old: int, size: int) -> tuple[bytes, ...]:
    return tree_of(size, FILES).consistency(old) if 0 < old < size else ()


def verdict(
    old: int, size: int, held: Seen | None, steps=None, whole: Note | None = None, keys=(LOG,)
) -> Verdict:
    """What a witness says, through the bytes of a request."""
    whole = whole or note(at(size))
    steps = proof(old, size) if steps is None else steps
    request = parse_add_checkpoint(bytes(AddCheckpoint(old=old, proof=steps, note=bytes(whole))))
    read = parse_note(request.note)
    return weigh(request, parse_checkpoint(read.text), read, keys, held)


# --- the request --------------------------------------------------------------------------------


def test_the_request_of_the_worked_example_is_read_written_and_signed(shared_data: Path) -> None:
    folder = shared_data / "tlog" / "self-made" / "log"
    data = (folder / "add-checkpoint.request").read_bytes()
    request = parse_add_checkpoint(data)
    assert (request.old, len(request.proof)) == (257, 8)
    assert bytes(request) == data
    read = parse_note(request.note)
    point = parse_checkpoint(read.text)
    key = parse_verifier_key(
        "log.node-a.example/exchange/2026+8a58b3e7+Ae+Eira0EaSHlvq7SZu+D0OIBuBF27qlawJbJToq/6UK"
    )
    before = parse_checkpoint(parse_note((folder / "checkpoints/257").read_bytes()).text)
    held = Seen(size=before.size, root=before.root)
    assert weigh(request, point, read, [key], held) == Verdict(status=HTTPStatus.OK)
    # the witnesses of the example: their keys, their signatures, their times
    whole = parse_note((folder / "checkpoint").read_bytes())
    for name, text, time in (
        ("witness.node-b.example/w1", "ac9bad38+BNSvYBIqLRo8g2w4VmAHtJ1YcTGUfe+6xqIyO+H5E8oy", 59),
        ("witness.node-c.example/w1", "676afb3f+BAtq4xILDUT1NAKC8QqERX3C+zocOYY65GOCZYxpAtIx", 60),
    ):
        lines = "".join(f"{each.line}\n" for each in whole.signatures if each.name == name)
        witness = parse_verifier_key(f"{name}+{text}")
        when = 0x6955BA2B + (1 if time == 59 else 2)
        (found,) = cosignatures(lines.encode(), point.text, [witness], now=when, skew=1)
        assert time_of(found.value) == when
        # the same signature is made again from the key
        made = cosign(point.text, when, seeded_key(name).sign)
        assert made == found.value


def test_it_may_have_63_lines_of_proof() -> None:
    most = AddCheckpoint(old=1, proof=(b"\x01" * 32,) * MAX_PROOF, note=b"x")
    assert parse_add_checkpoint(bytes(most)) == most
    with pytest.raises(LogError) as raised:
        parse_add_checkpoint(bytes(replace(most, proof=(b"\x01" * 32,) * (MAX_PROOF + 1))))
    assert raised.value.code == "log-witness-request-invalid"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"old 1", b"old 1\n", b"old\n\nx", b"old 01\n\nx", b"old -1\n\nx",
        b"old  1\n\nx", b"new 1\n\nx", b"old 1\r\n\r\nx", b"old 9223372036854775808\n\nx",
        b"old 1\n" + to_base64(b"\x01" * 31).encode() + b"\n\nx", b"old 1\nnot base64\n\nx",
        b"old 1\n" + to_base64(b"\x01" * 32).encode()[:-1] + b"\n\nx", "old 1\né\n\nx".encode(),
        b"old 1\n\n" + b"x" * MAX_REQUEST,
    ],
)  # fmt: skip
def test_anything_else_is_no_request(data: bytes) -> None:
    with pytest.raises(LogError) as raised:
        parse_add_checkpoint(data)
    assert raised.value.code == "log-witness-request-invalid"


# --- the verdict --------------------------------------------------------------------------------

FORKED = replace(at(300), root=b"\x09" * 32)
STRANGER = seeded_key("stranger")


@pytest.mark.parametrize(
    ("status", "made"),
    [
        (200, lambda: verdict(0, 300, None)),
        (200, lambda: verdict(0, 0, None)),
        (200, lambda: verdict(0, 300, seen(0))),
        (200, lambda: verdict(257, 300, seen(257))),
        (200, lambda: verdict(300, 300, seen(300))),
        # SPEC: 404 when the checkpoint origin is unknown
        (404, lambda: verdict(0, 300, None, keys=())),
        # SPEC: 403 when none of the signatures verify against a trusted public key
        (403, lambda: verdict(0, 300, None, whole=note(at(300), STRANGER))),
        (
            403,
            lambda: verdict(
                0, 300, None,
                whole=note(at(300), STRANGER, key_of(STRANGER, ORIGIN, KeyType.ED25519_NOTE)),
            ),
        ),
        # SPEC: 400 when the old size is above that of the checkpoint
        (400, lambda: verdict(300, 257, seen(300))),
        (400, lambda: verdict(300, 257, seen(257))),
        # SPEC: 409 when the old size is not that of the latest cosigned checkpoint
        (409, lambda: verdict(0, 300, seen(257))),
        (409, lambda: verdict(256, 300, seen(257))),
        (409, lambda: verdict(257, 300, None)),
        (409, lambda: verdict(257, 257, seen(300))),
        # 422: the proof does not verify, the same size has another root, a proof from nothing
        (422, lambda: verdict(257, 300, Seen(size=257, root=b"\x08" * 32))),
        (422, lambda: verdict(257, 300, seen(257), steps=())),
        (422, lambda: verdict(257, 300, seen(257), steps=(*proof(257, 300), b"\x01" * 32))),
        (422, lambda: verdict(257, 300, seen(257), whole=note(FORKED))),
        (422, lambda: verdict(300, 300, seen(300), whole=note(FORKED))),
        (422, lambda: verdict(300, 300, seen(300), steps=(b"\x01" * 32,))),
        (422, lambda: verdict(0, 300, None, steps=(b"\x01" * 32,))),
    ],
)  # fmt: skip
def test_a_witness_says_what_c2sp_prescribes(status: int, made) -> None:
    said = made()
    assert said.status == status
    assert (said.size is not None) == (status == HTTPStatus.CONFLICT)
    assert bool(said.sentence) == (status != HTTPStatus.OK)


def test_a_conflict_tells_the_size_that_was_signed_last() -> None:
    assert verdict(0, 300, seen(257)).size == 257
    assert verdict(257, 300, None).size == 0


# --- what a log believes ------------------------------------------------------------------------


WHOLE = at(300)


def line(point: Checkpoint = WHOLE, time: int = NOW, private=WITNESS_PRIVATE, key=WITNESS) -> str:
    value = cosign(point.text, time, private.sign)
    return Signature(name=key.name, key_id=key.key_id, value=value).line


def believed(body: str | bytes, now: int = NOW) -> tuple[Signature, ...]:
    data = body if isinstance(body, bytes) else body.encode()
    return cosignatures(data, at(300).text, [WITNESS], now=now, skew=300)


def test_the_signature_of_a_witness_is_taken_and_lines_of_strangers_are_not() -> None:
    other = key_of(STRANGER, "witness.other.example/w1", KeyType.ED25519_COSIGNATURE)
    body = f"{line(private=STRANGER, key=other)}\n{line()}\n"
    (found,) = believed(body)
    assert (found.name, time_of(found.value)) == (WITNESS_NAME, NOW)
    assert len(believed(f"{line(time=NOW - 300)}\n")) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "no signature of this checkpoint"),
        ("\n", "no signature of this checkpoint"),
        ("OK\n", "no signature of this checkpoint"),
        (b"\xff\xfe", "no signature of this checkpoint"),
        (line(), "no signature of this checkpoint"),  # not ended
        (f"{line()}\n\n{line()}\n", "no signature of this checkpoint"),
        (f"{line(at(257))}\n", "does not verify"),
        (f"{line(replace(at(300), root=EMPTY_ROOT))}\n", "does not verify"),
        (f"{line(private=STRANGER)}\n", "does not verify"),
        (f"{line()}\n" * 65, "more than 64 signatures"),
        (f"{line(time=NOW - 301)}\n", "made 301 seconds ago"),
        (f"{line(time=NOW + 301)}\n", "made 301 seconds in the future"),
        (f"{line(time=0)}\n", "seconds ago"),
        (f"{line(time=2**63 - 1)}\n", "seconds in the future"),
        (f"{line(time=2**63)}\n", "does not verify"),
        (f"{line()}\n{line(time=NOW + 999)}\n", "in the future"),
    ],
)
def test_nothing_else_is_believed(body: str | bytes, reason: str) -> None:
    with pytest.raises(LogError) as raised:
        believed(body)
    assert raised.value.code == "log-witness-invalid"
    assert reason in raised.value.sentence


@pytest.mark.parametrize(
    "body", [b"", b"-1\n", b"01\n", b"1 \n", b"9223372036854775808\n", b"\xff"]
)
def test_a_size_is_a_plain_number(body: bytes) -> None:
    assert parse_size(b"257\n") == 257
    with pytest.raises(LogError) as raised:
        parse_size(body)
    assert raised.value.code == "log-witness-invalid"


def test_a_shown_checkpoint_counts_only_when_we_signed_it() -> None:
    whole = bytes(note(at(257))) + f"{line(at(257))}\n".encode()
    point, _ = shown_checkpoint(whole, ORIGIN, [LOG])
    assert point == at(257)
    for body in (
        b"", b"garbage", bytes(note(at(257), STRANGER)),
        bytes(note(replace(at(257), origin="log.other.example/exchange/2026"))),
        f"{at(257).text.decode()}\n{line(at(257))}\n".encode(),
    ):  # fmt: skip
        with pytest.raises(LogError) as raised:
            shown_checkpoint(body, ORIGIN, [LOG])
        assert raised.value.code == "log-witness-invalid"


def test_it_is_shown_under_the_hash_of_the_origin() -> None:
    digest = "4d3203c8f35cdf600e475f55fede6081a703d3d322f208865fca2ec4f0e030f8"
    assert checkpoint_path("example.com/log") == f"{digest}/checkpoint"
