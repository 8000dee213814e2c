"""Our witness over a database: whom it knows, what it keeps, and requests that race."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from threading import Barrier

import pytest
from sqlalchemy import Engine

from node.errors import OurFault, TheirFault
from node.ledger.sealer import verifier_key
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.cosignature import checks
from node.ledger.tlog.merkle import Frontier, leaf_hash, node_hash
from node.ledger.tlog.note import parse_note, signed, verified
from node.ledger.tlog.witness import AddCheckpoint
from node.ledger.witness import Witness, WitnessAnswer, witness_key, witnessed_logs
from node.ledger.witness_peers import (
    MOST_KEYS,
    MOST_WITNESSES,
    WitnessPeer,
    accept_peer,
    checked,
    keys_for,
    needed,
    note_cosigned,
    note_failed,
    remove_peer,
    witness_peers,
)
from trust.log_key import LogKeySigner, generate_log_key

NAME = "log.lake.example/exchange"
ORIGIN = f"{NAME}/2026"
NOW = datetime(2026, 7, 1, tzinfo=UTC)
LOG = LogKeySigner(key=generate_log_key())
OURS = LogKeySigner(key=generate_log_key())


def peer(organization_id: str = "2.999.1", **changes: object) -> WitnessPeer:
    values = {
        "name": "Lake",
        "address": "https://lake.example/witness",
        "log_keys": (verifier_key(NAME, LOG),),
        "witness_keys": (witness_key("witness.lake.example", fresh()),),
        "added": 1,
    }
    return WitnessPeer(organization_id=organization_id, **{**values, **changes})


def fresh() -> LogKeySigner:
    return LogKeySigner(key=generate_log_key())


@pytest.fixture
def witness(store: Engine) -> Witness:
    accept_peer(store, peer())
    return Witness(store, "witness.hill.example", lambda: (OURS,), lambda: NOW)


LEAVES = [leaf_hash(bytes([n])) for n in range(200)]


def at(size: int, origin: str = ORIGIN) -> Checkpoint:
    tree = Frontier()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    return Checkpoint(origin=origin, size=size, root=tree.root())


def proof(old: int, size: int) -> tuple[bytes, ...]:
    """RFC 6962 2.1.2 as it is written there."""

    def root(leaves: Sequence[bytes]) -> bytes:
        if len(leaves) == 1:
            return leaves[0]
        k = half(len(leaves))
        return node_hash(root(leaves[:k]), root(leaves[k:]))

    def half(n: int) -> int:
        return 1 << (n - 1).bit_length() - 1

    def sub(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
        if m == len(leaves):
            return [] if whole else [root(leaves)]
        k = half(len(leaves))
        if m <= k:
            return [*sub(m, leaves[:k], whole), root(leaves[k:])]
        return [*sub(m - k, leaves[k:], False), root(leaves[:k])]

    return tuple(sub(old, LEAVES[:size], True)) if 0 < old < size else ()


def ask(
    witness: Witness, old: int, size: int, origin: str = ORIGIN, signer: LogKeySigner = LOG
) -> WitnessAnswer:
    point = at(size, origin)
    note = signed(point.text, [(verifier_key(origin, signer), signer.sign)])
    request = AddCheckpoint(old=old, proof=proof(old, size), note=bytes(note))
    return witness.add_checkpoint(bytes(request))


def test_what_is_signed_is_kept_first_and_shown(witness: Witness, store: Engine) -> None:
    answer = ask(witness, 0, 7)
    assert answer.verdict.status is HTTPStatus.OK
    key = witness_key("witness.hill.example", OURS)
    verified(parse_note(at(7).text + b"\n" + answer.lines), [key], checks)
    shown = witness.newest(sha256(ORIGIN.encode()).hexdigest())
    assert shown is not None
    note = parse_note(shown)
    assert parse_checkpoint(note.text) == at(7)
    assert [each.name for each in note.signatures] == [ORIGIN, "witness.hill.example"]
    (held,) = witnessed_logs(store)
    assert (held.origin, held.size, held.root) == (ORIGIN, 7, at(7).root)
    # another process over the same database knows it
    other = Witness(store, "witness.hill.example", lambda: (OURS,), lambda: NOW)
    assert ask(other, 0, 9).verdict.size == 7
    assert ask(other, 7, 9).verdict.status is HTTPStatus.OK


def test_only_logs_of_accepted_peers_are_known_each_by_its_own_keys(
    witness: Witness, store: Engine
) -> None:
    status = [
        ask(witness, 0, 3, origin).verdict.status
        for origin in ("log.other.example/exchange/2026", NAME, f"{NAME}/2031", f"{NAME}/26")
    ]
    assert status == [HTTPStatus.NOT_FOUND] * 4
    assert ask(witness, 0, 3, signer=fresh()).verdict.status is HTTPStatus.FORBIDDEN
    assert witnessed_logs(store) == ()
    # a year's log is known by the keys that were accepted without a year
    assert ask(witness, 0, 3, f"{NAME}/2027").verdict.status is HTTPStatus.OK
    remove_peer(store, "2.999.1")
    assert ask(witness, 0, 3).verdict.status is HTTPStatus.NOT_FOUND


def test_what_was_signed_of_a_log_is_never_forgotten(witness: Witness, store: Engine) -> None:
    ask(witness, 0, 9)
    accepted = witness_peers(store)[0]
    remove_peer(store, accepted.organization_id)
    accept_peer(store, accepted)
    assert ask(witness, 0, 3).verdict.size == 9


def test_bytes_that_are_no_request_are_refused_without_a_trace(
    witness: Witness, store: Engine
) -> None:
    for data in (b"", b"old 0\n\n", b"old 0\n\nnot a note\n", b"old 0\n\na\nb\nc\n\n\xff"):
        assert witness.add_checkpoint(data).verdict.status is HTTPStatus.BAD_REQUEST
    assert witnessed_logs(store) == ()


def test_of_racing_requests_none_takes_the_log_back(witness: Witness, store: Engine) -> None:
    """SPEC: request A with size N is kept after request B with size N+K was: K leaves roll back."""
    ask(witness, 0, 1)
    sizes = range(2, 26)
    together = Barrier(8, timeout=60)

    def race(size: int) -> WitnessAnswer:
        together.wait()
        return ask(witness, 1, size)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(race, sizes))
    signed_sizes = [
        size
        for size, answer in zip(sizes, answers, strict=True)
        if answer.verdict.status is HTTPStatus.OK
    ]
    # exactly one found the size 1 that all said; the others learn what it is now
    assert len(signed_sizes) == 1
    others = [answer.verdict for answer in answers if answer.verdict.status is not HTTPStatus.OK]
    assert {(each.status, each.size) for each in others} == {(HTTPStatus.CONFLICT, signed_sizes[0])}
    (held,) = witnessed_logs(store)
    assert held.size == signed_sizes[0]


def test_racing_requests_that_go_on_from_conflicts_only_ever_grow(
    witness: Witness, store: Engine
) -> None:
    together = Barrier(6, timeout=60)
    seen: list[int] = []

    def climb(start: int) -> None:
        together.wait()
        old = 0
        for size in range(start, 120, 6):
            answer = ask(witness, min(old, size), size)
            if answer.verdict.status is HTTPStatus.CONFLICT:
                old = answer.verdict.size or 0
                continue
            if answer.verdict.status is HTTPStatus.OK:
                old = size
                seen.append(size)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(climb, range(1, 7)))
    (held,) = witnessed_logs(store)
    assert held.size == max(seen)
    assert held.root == at(held.size).root


def test_without_a_key_nothing_is_signed_and_nothing_kept(store: Engine) -> None:
    accept_peer(store, peer())
    witness = Witness(store, "witness.hill.example", tuple, lambda: NOW)
    with pytest.raises(OurFault) as raised:
        ask(witness, 0, 3)
    assert raised.value.code == "log-key-missing"
    assert witnessed_logs(store) == ()


# --- whom an operator accepts -------------------------------------------------------------------


def test_what_was_accepted_comes_back_and_may_be_replaced(store: Engine) -> None:
    first = peer()
    accept_peer(store, first)
    assert witness_peers(store) == (first,)
    note_failed(store, first, "timeout", now=NOW)
    (failing,) = witness_peers(store)
    assert (failing.failure, failing.failing) == ("timeout", int(NOW.timestamp() * 1000))
    note_cosigned(store, first.organization_id, size=12, now=NOW)
    (signing,) = witness_peers(store)
    assert (signing.failure, signing.failing, signing.size) == (None, None, 12)
    again = peer(log_keys=(verifier_key(NAME, LOG), verifier_key(NAME, fresh())))
    accept_peer(store, again)
    (replaced,) = witness_peers(store)
    assert (replaced.log_keys, replaced.size) == (again.log_keys, 12)
    assert remove_peer(store, first.organization_id)
    assert not remove_peer(store, first.organization_id)
    assert witness_peers(store) == ()


def test_keys_of_a_name_are_those_of_its_years_alone() -> None:
    keys = keys_for([peer()], ORIGIN)
    assert [key.name for key in keys] == [ORIGIN]
    assert keys_for([peer()], f"{NAME}/2026/2026") == ()
    assert keys_for([peer()], NAME) == ()


OWN = verifier_key("log.hill.example/exchange", OURS)
SHARED = fresh()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"log_keys": (), "witness_keys": ()}, "neither a key"),
        ({"log_keys": (witness_key(NAME, LOG),)}, "none that signs checkpoints"),
        ({"witness_keys": (verifier_key("w", LOG),)}, "none that signs as a witness"),
        (
            {"log_keys": tuple(verifier_key(NAME, fresh()) for _ in range(MOST_KEYS + 1))},
            "more than 4 keys",
        ),
        (
            {"log_keys": (verifier_key(NAME, fresh()), verifier_key("other", fresh()))},
            "several names",
        ),
        ({"log_keys": (verifier_key("x" * 251, fresh()),)}, "too long"),
        ({"witness_keys": (witness_key("w", LOG),)}, "one key twice"),
        ({"address": "http://lake.example"}, "https"),
        ({"address": ""}, "https"),
        ({"log_keys": (verifier_key(NAME, OURS),)}, "our own"),
        ({"log_keys": (verifier_key(OWN.name, fresh()),)}, "our own"),
        ({"witness_keys": (witness_key("w", SHARED),)}, "that of 2.999.5"),
        ({"log_keys": (verifier_key("log.other.example", fresh()),)}, "that of 2.999.5"),
    ],
)
def test_a_key_stands_for_one_log_or_witness_only(changes: dict, reason: str) -> None:
    other = peer(
        "2.999.5",
        log_keys=(verifier_key("log.other.example", fresh()),),
        witness_keys=(witness_key("witness.other.example", SHARED),),
    )
    checked(peer(), [other], [OWN])
    with pytest.raises(TheirFault) as raised:
        checked(peer(**changes), [other], [OWN])
    assert raised.value.code == "log-witness-keys"
    assert reason in raised.value.sentence


def test_there_are_not_more_witnesses_than_a_checkpoint_takes_signatures() -> None:
    others = [
        peer(f"2.999.{n}", log_keys=(), witness_keys=(witness_key(f"w{n}", fresh()),))
        for n in range(2, MOST_WITNESSES + 2)
    ]
    with pytest.raises(OurFault) as raised:
        checked(peer(), others, ())
    assert raised.value.code == "log-witness-limit"


def test_where_fewer_witness_than_the_quorum_all_must() -> None:
    two = [peer("2.999.1"), peer("2.999.2"), peer("2.999.3", witness_keys=())]
    assert [needed(two, quorum) for quorum in (1, 2, 3)] == [1, 2, 2]
