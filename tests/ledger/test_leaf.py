from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OurFault
from node.ledger import leaf
from tests.ledger.records import OWN, new_id

HASH = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
HEARTBEAT = {
    "v": 1,
    "kind": "heartbeat",
    "id": "0190a8c0-0000-7000-8000-000000000001",
    "t": "2026-11-01T12:00:00.123Z",
    "seq": 0,
    "own": "urn:oid:2.999.1",
}


def exchange(**changes: str | int) -> dict[str, str | int]:
    made: dict[str, str | int] = {
        **HEARTBEAT,
        "kind": "exchange",
        "exch": new_id(),
        "dir": "responding",
        "txn": "ITI-55",
        "outcome": "ok-empty",
        "docs": 0,
        "dur_ms": 12,
    }
    return made | changes


def test_the_bytes_are_jcs_keys_in_order_and_no_white_space() -> None:
    assert leaf.encode(HEARTBEAT) == (
        b'{"id":"0190a8c0-0000-7000-8000-000000000001","kind":"heartbeat",'
        b'"own":"urn:oid:2.999.1","seq":0,"t":"2026-11-01T12:00:00.123Z","v":1}'
    )


def test_a_leaf_is_hashed_as_rfc_6962_says() -> None:
    data = leaf.encode(HEARTBEAT)
    assert leaf.leaf_hash(data) == hashlib.sha256(b"\x00" + data).digest()


@pytest.mark.shared
def test_leaf_hash_of_the_worked_example(shared_data: Path) -> None:
    entry = (shared_data / "tlog/self-made/log/tile/entries/000").read_bytes()
    for _ in range(41):
        entry = entry[2 + int.from_bytes(entry[:2], "big") :]
    forty_one = entry[2 : 2 + int.from_bytes(entry[:2], "big")]
    assert leaf.leaf_hash(forty_one).hex() == (
        "a6bb5302195d6f49f0b2b931712c10d3a558032957e45043425964bda430d93f"
    )


OPTIONAL = {
    "peer": st.integers(0, 10**9).map(lambda n: f"urn:oid:2.999.{n}"),
    "org": st.from_regex(r"[A-Za-z0-9.-]{1,64}", fullmatch=True),
    "purpose": st.sampled_from(["T-TREAT", "T-HCO-CC"]),
    "reason": st.sampled_from(["XDSRegistryError", "peer-suspended", "urn:Receiver"]),
    "msg": st.uuids().map(lambda u: f"urn:uuid:{u}"),
    "c_who": st.binary(min_size=32, max_size=32).map(leaf.from_bytes),
    "c_req": st.binary(min_size=32, max_size=32).map(leaf.from_bytes),
    "dev": st.just("time-iso,value-as-text"),
    "test": st.just("synthetic"),
}


@given(
    st.fixed_dictionaries({}, optional=OPTIONAL),
    st.integers(0, 2**53 - 1),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),  # noqa: DTZ001
)
def test_encode_then_decode_gives_the_same_leaf(
    extra: dict[str, str], seq: int, instant: datetime
) -> None:
    made = exchange(seq=seq, t=leaf.from_time(instant), **extra)
    data = leaf.encode(made)
    assert leaf.decode(data) == made
    assert leaf.to_milliseconds(str(made["t"])) == leaf.milliseconds(instant)


@given(st.data())
def test_any_single_changed_byte_is_another_leaf_or_none(data: st.DataObject) -> None:
    encoded = bytearray(leaf.encode(exchange(c_who=HASH, msg=f"urn:uuid:{new_id()}")))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = leaf.decode(bytes(encoded))
    except OurFault:
        return
    assert leaf.encode(changed) == bytes(encoded)


@pytest.mark.parametrize(
    "change",
    [
        {"surname": "Smith"},
        {"target": 4},
        {"v": 2},
        {"v": True},
        {"seq": -1},
        {"seq": 2**53},
        {"seq": 1.0},
        {"docs": None},
        {"docs": "1"},
        {"id": "41"},
        {"id": "0190A8C0-0000-7000-8000-000000000001"},
        {"t": "2026-11-01T12:00:00Z"},
        {"t": "2026-11-01T12:00:00.1234Z"},
        {"t": "2026-11-01T12:00:00.123+00:00"},
        {"t": "2026-13-01T12:00:00.123Z"},
        {"t": "2026-11-01T12:00:00.123Z\n"},
        {"own": "2.999.1"},
        {"own": "urn:oid:2.999.01"},
        {"own": "urn:oid:2." + "9" * 60},
        {"kind": "gossip"},
        {"kind": "heartbeat"},
        {"dir": "sideways"},
        {"outcome": "success"},
        {"txn": "ITI 55"},
        {"purpose": "treat Mr Smith"},
        {"reason": "patient Smith not found"},
        {"reason": "no-patient-19691231"},
        {"msg": "urn:uuid:mr-smith"},
        {"msg": "urn:uuid:0190a8c0-0000-7000-8000-000000000001x"},
        {"c_who": HASH[:-2] + "B="},
        {"c_who": HASH[:-1]},
        {"key": "not base64"},
        {"pol": ""},
        {"pol": "a,,b"},
        {"dev": "Größe"},
        {"org": "a" * 65},
    ],
)
def test_what_does_not_have_its_form_is_refused_without_being_quoted(
    change: dict[str, object],
) -> None:
    made: dict[str, object] = exchange() | change
    with pytest.raises(OurFault) as caught:
        leaf.encode(made)  # type: ignore[arg-type]
    assert caught.value.code == "ledger-leaf-invalid"
    for value in change.values():
        assert str(value) not in caught.value.sentence or len(str(value)) < 3
    raw = json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(OurFault):
        leaf.decode(raw)


@pytest.mark.parametrize("name", ["v", "kind", "id", "t", "seq", "own", "exch", "dir", "outcome"])
def test_a_missing_field_is_refused(name: str) -> None:
    made = exchange()
    del made[name]
    with pytest.raises(OurFault):
        leaf.encode(made)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"v":1',
        leaf.encode(HEARTBEAT) + b"\n",
        leaf.encode(HEARTBEAT).replace(b'"v":1', b'"v": 1'),
        leaf.encode(HEARTBEAT).replace(b'"v":1', b'"v":1.0'),
        leaf.encode(HEARTBEAT).replace(b'"v":1', b'"v":1,"v":1'),
        leaf.encode(HEARTBEAT).replace(b'"own"', b'"\\u006fwn"'),
        leaf.encode(HEARTBEAT).replace(b"{", b'{"v":1,').replace(b',"v":1}', b"}"),
        b"\xef\xbb\xbf" + leaf.encode(HEARTBEAT),
        b'{"v":' + b"1" * 5000 + b"}",
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(OurFault) as caught:
        leaf.decode(data)
    assert caught.value.code == "ledger-leaf-invalid"


def test_no_leaf_the_table_admits_is_longer_than_the_limit() -> None:
    longest = {
        "peer": "urn:oid:2." + "1" * 54, "org": "a" * 64, "bind": "a" * 32, "purpose": "A" * 32,
        "reason": "a" * 64, "dirver": "a" * 64, "pol": ",".join(["a" * 63] * 8),
        "dev": ",".join(["a" * 63] * 8), "unfit": ",".join(["a" * 63] * 8),
        "txn": "A" * 32, "seq": 2**53 - 1, "docs": 2**53 - 1, "dur_ms": 2**53 - 1,
        "msg": f"urn:uuid:{new_id()}", "rel": f"urn:uuid:{new_id()}", "promise": HASH, "key": HASH,
        "trust": HASH, "test": "synthetic", "try": 2**53 - 1,
        "c_req": HASH, "c_res": HASH, **{f"c_{group}": HASH for group in leaf.GROUPS},
        "own": "urn:oid:2." + "1" * 54, "dir": "responding", "outcome": "timed-out",
    }  # fmt: skip
    made = exchange(**longest)  # type: ignore[arg-type]
    allowed = {name for name, field in leaf.FIELDS.items() if "exchange" in field.kinds}
    assert made.keys() == allowed
    assert len(leaf.encode(made)) < leaf.LIMIT


def test_an_erasure_names_its_target_part_authority_and_reason() -> None:
    erasure = {
        **HEARTBEAT, "kind": "erasure", "target": 41, "part": "patient",
        "authority": "state-law", "reason": "retention-ended",
    }  # fmt: skip
    assert leaf.decode(leaf.encode(erasure)) == erasure
    with pytest.raises(OurFault):
        leaf.encode(erasure | {"part": "everything"})


def test_the_number_is_joined_in_where_it_belongs() -> None:
    head, tail = leaf.split_at_seq(leaf.encode(exchange(seq=0, dev="seq,0")))
    assert leaf.decode(head + b"987654" + tail)["seq"] == 987654
    with pytest.raises(OurFault):
        leaf.split_at_seq(leaf.encode(exchange(seq=7)))


def test_times_are_utc_and_cut_to_milliseconds() -> None:
    east = datetime(2026, 1, 1, 1, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert leaf.from_time(east) == "2025-12-31T23:00:00.999Z"
    with pytest.raises(OurFault):
        leaf.from_time(datetime(2026, 1, 1))  # noqa: DTZ001


def test_base64_with_stray_pad_bits_is_refused() -> None:
    assert leaf.to_bytes("AA==") == b"\x00"
    with pytest.raises(ValueError, match="canonical"):
        leaf.to_bytes("AB==")


def test_the_table_in_the_docstring_is_the_table_in_the_code() -> None:
    rows = [line.split() for line in (leaf.__doc__ or "").splitlines()]
    listed = {row[0] for row in rows if len(row) > 2 and row[0] in leaf.FIELDS}
    assert listed == set(leaf.FIELDS)
    assert str(OWN).startswith("urn:oid:")
