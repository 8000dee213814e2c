"""Log promises: given, read, verified; what a leaf and the database keep of one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import records
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, select

from node.errors import LogError
from node.ledger import leaf
from node.ledger.ledger import ExchangeLedger
from node.ledger.peer_log import PeerLog, peer_log
from node.ledger.promise import (
    Absence,
    Promise,
    absence_signed,
    parse_absence,
    parse_promise,
    promised,
    verify_absence,
    verify_promise,
)
from node.ledger.tlog.note import KeyType, VerifierKey
from node.peers.promised import judged_promise
from node.storage.tables import ENTRY, PROMISE

NAME = "log.node-a.example/exchange"
MESSAGE = "urn:uuid:0190a8c0-0000-7000-8000-000000000001"
NOW = datetime(2026, 11, 27, 12, 0, 0, 123456, tzinfo=UTC)
SEED = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"test-vector-seed:promise").digest())
OTHER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"test-vector-seed:other").digest())


def key_of(private: Ed25519PrivateKey, name: str = NAME) -> VerifierKey:
    public = private.public_key().public_bytes_raw()
    return VerifierKey(name=name, kind=KeyType.ED25519_NOTE, public=public)


def given(message: str = MESSAGE, now: datetime = NOW, private: Ed25519PrivateKey = SEED) -> str:
    return str(promised(NAME, message, now, key_of(private), private.sign))


LOG = PeerLog(name=NAME, keys=(key_of(SEED),))
OTHER_LOG = PeerLog(name="log.b.example/x", keys=(key_of(SEED, "log.b.example/x"),))


def test_a_promise_is_these_bytes() -> None:
    promise = parse_promise(given())
    assert promise.text == (
        b"exchange log promise v1\nlog.node-a.example/exchange\n"
        b"urn:uuid:0190a8c0-0000-7000-8000-000000000001\n2026-11-27T12:00:00.123Z\n"
    )
    SEED.public_key().verify(promise.signature[4:], promise.text)
    assert promise.signature[:4] == key_of(SEED).key_id
    assert str(promise) == given()
    assert promise.digest == leaf.from_bytes(hashlib.sha256(given().encode()).digest())
    verify_promise(promise, LOG.keys)


def test_every_flipped_bit_of_a_promise_is_noticed() -> None:
    value = given().encode()
    for place in range(len(value)):
        for bit in range(7):
            changed = bytearray(value)
            changed[place] ^= 1 << bit
            with pytest.raises(LogError, match="promise"):
                verify_promise(parse_promise(changed.decode()), LOG.keys)


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "a b c", f"{given()} more", given().replace(" ", "  "), given() + "\n",
        given().replace("urn:uuid:", "uuid:"), given().replace("2026", "26"),
        given().replace("11-27", "13-41"), given()[:-8], given().replace(NAME, "a+b"), "x" * 600,
    ],
)  # fmt: skip
def test_what_is_no_promise_is_refused(value: str) -> None:
    with pytest.raises(LogError) as refused:
        parse_promise(value)
    assert refused.value.code == "log-promise-invalid"


def test_the_initiator_keeps_a_good_promise_and_counts_absent_and_wrong_ones() -> None:
    def judged(value: str | None, log: PeerLog | None = LOG, now: datetime = NOW):
        return judged_promise(value, log, message_id=MESSAGE, now=now)

    assert judged(given()) == (given(), ())
    assert judged(given(), None) == (given(), ())  # its key is not known yet
    assert judged(None, None) == (None, ())
    assert judged(None) == (None, ("log-promise-absent",))
    invalid = (None, ("log-promise-invalid",))
    assert judged("nonsense") == judged("nonsense", None) == invalid
    assert judged(given(private=OTHER)) == invalid
    assert judged(given(message=MESSAGE.replace("1", "2"))) == invalid
    assert judged(given(now=NOW + timedelta(days=300))) == invalid
    assert judged(given(), OTHER_LOG) == invalid


def test_an_absence_statement_is_signed_for_one_message_and_size() -> None:
    origin = f"{NAME}/2026"
    key = key_of(SEED, origin)
    said = Absence(
        origin=origin, message_id=MESSAGE, t="2026-11-29T00:00:00.000Z", size=3, root=b"r" * 32
    )
    data = absence_signed(said, key, SEED.sign)
    verify_absence(parse_absence(data), LOG.of_year(origin))
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(LogError):
            verify_absence(parse_absence(bytes(changed)), LOG.of_year(origin))
    # a promise's signature is none of absence, and the other way round
    assert not said.text.startswith(parse_promise(given()).text.split(b"\n")[0])


def test_an_entrys_keys_of_another_log_form_or_type_are_passed_over() -> None:
    good, other = key_of(SEED), key_of(OTHER)
    x25519 = leaf.from_bytes(b"x" * 32)
    witness = VerifierKey(name="w", kind=KeyType.ED25519_COSIGNATURE, public=b"p" * 32)
    found = peer_log(
        ["nonsense", str(witness), str(good), str(key_of(OTHER, "log.else/x")), str(other)],
        ["nonsense", leaf.from_bytes(b"short"), x25519, x25519],
    )
    assert found == PeerLog(name=NAME, keys=(good, other), agreement=(b"x" * 32,))
    assert peer_log([str(witness)], [x25519]) is None
    yearly = peer_log([str(key_of(SEED, f"{NAME}/2026"))], [])
    assert yearly == LOG
    assert LOG.of_year(f"{NAME}/2027") == (key_of(SEED, f"{NAME}/2027"),)
    assert LOG.of_year(NAME) == LOG.of_year(f"{NAME}x/2027") == LOG.of_year("x/2027") == ()


async def test_the_leaf_names_the_promise_and_the_database_keeps_it(
    store: Engine, ledger: ExchangeLedger
) -> None:
    with_one = await ledger.append(records.record(promise=given()))
    without = await ledger.append(records.record())
    with store.connect() as connection:
        data = dict(connection.execute(select(ENTRY.c.seq, ENTRY.c.leaf)).all())
        (row,) = connection.execute(select(PROMISE)).mappings()
    assert leaf.decode(data[with_one.seq])["promise"] == parse_promise(given()).digest
    assert "promise" not in leaf.decode(data[without.seq])
    assert (row["seq"], row["value"], row["state"]) == (with_one.seq, given(), "open")
    assert row["peer"] == records.PEER.home_community_id


def test_a_promise_shows_its_parts() -> None:
    promise = parse_promise(given())
    assert isinstance(promise, Promise)
    assert promise.time == NOW.replace(microsecond=123000)
