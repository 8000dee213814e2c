"""The quick check of leaves says what ``leaf.decode`` says."""

from __future__ import annotations

import os
from contextlib import suppress

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import record

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.leaf_check import _match, fields_of, number_of, numbered_from
from node.ledger.ledger import seal_draft
from node.ledger.private import LedgerKey
from node.ledger.record import ENTROPY, draft

_KEY = LedgerKey(bytes(32))
HEARTBEAT = (
    b'{"id":"00000000-0000-7000-0000-000000000001","kind":"heartbeat","own":"urn:oid:2.999.1",'
    b'"seq":7,"t":"2026-11-01T12:00:00.126Z","v":1}'
)
TRUST = orjson.dumps(
    {
        "act": "key-make", "by": "node", "c_who": leaf.from_bytes(bytes(32)),
        "id": "00000000-0000-7000-0000-000000000001", "kind": "cert", "own": "urn:oid:2.999.1",
        "seq": 5, "step": "begun", "t": "2026-11-01T12:00:00.126Z", "v": 1, "ver": 3,
    }
)  # fmt: skip


def exchange(number: int = 12) -> bytes:
    made = draft(record(), purposes={"T-TREAT"}, entropy=os.urandom(ENTROPY))
    entry = seal_draft(made, key=_KEY, entropy=os.urandom(76 * 5))
    return entry.head + str(number).encode() + entry.tail


SAMPLES = [exchange(), HEARTBEAT, TRUST]


@pytest.mark.parametrize("data", SAMPLES)
def test_what_is_a_leaf_is_matched(data: bytes) -> None:
    assert _match(data) is not None
    assert fields_of(data) == leaf.decode(data)


def is_leaf(data: bytes) -> bool:
    with suppress(OurFault):
        leaf.decode(data)
        return True
    return False


def test_every_single_byte_changed_is_judged_alike() -> None:
    for data in SAMPLES:
        for place in range(len(data)):
            for byte in (*b'0"9,{}:aZ= \n.', data[place] ^ 1, data[place] ^ 0x80):
                changed = data[:place] + bytes([byte]) + data[place + 1 :]
                if _match(changed) is not None:
                    assert fields_of(changed) == leaf.decode(changed)
                assert bool(list(numbered_from(0)(0, [changed]))) is not (
                    is_leaf(changed) and leaf.decode(changed)["seq"] == 0
                )


def test_what_is_no_leaf_is_refused_with_the_same_sentence() -> None:
    for changed in (b"{}", b"[]", HEARTBEAT[:-1], HEARTBEAT.replace(b":7", b": 7")):
        with pytest.raises(OurFault) as quick:
            fields_of(changed)
        with pytest.raises(OurFault) as rule:
            leaf.decode(changed)
        assert (quick.value.code, quick.value.sentence) == (rule.value.code, rule.value.sentence)


fields = st.sampled_from(sorted(leaf.FIELDS))
values = st.sampled_from(
    [0, 1, 2**53 - 1, 2**53, -1, "", "ok", "ITI-55", "urn:oid:2.999.1", "a1234", "T-TREAT",
     "x" * 70,
     "2026-13-01T00:00:00.000Z", "2026-02-30T00:00:00.000Z", leaf.from_bytes(bytes(32)), None, 1.5],
)  # fmt: skip


@given(st.sampled_from(SAMPLES), st.dictionaries(fields, values, max_size=3), st.sets(fields))
@settings(max_examples=300, deadline=None)
def test_fields_changed_added_or_left_out_are_judged_alike(data, changes, missing) -> None:
    made = {k: v for k, v in (orjson.loads(data) | changes).items() if k not in missing}
    text = orjson.dumps(made, option=orjson.OPT_SORT_KEYS)
    if _match(text) is not None:
        assert is_leaf(text)
    assert (number_of(text) is not None) is is_leaf(text)


def test_a_gap_a_repetition_and_what_is_no_leaf_are_named() -> None:
    entries = [exchange(5), exchange(6), exchange(6), b"{}", exchange(9)]
    assert list(numbered_from(5)(0, entries)) == [
        (2, "Entry 2 has the number 6 instead of 7."),
        (3, "Entry 3: A log entry is of an unknown kind."),
    ]
    assert list(numbered_from(0)(2, [exchange(2)])) == []


def test_a_large_number_is_left_to_the_rule() -> None:
    data = HEARTBEAT.replace(b'"seq":7', b'"seq":9007199254740991')
    assert _match(data) is None
    assert number_of(data) == 2**53 - 1
