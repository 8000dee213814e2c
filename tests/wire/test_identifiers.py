"""Identifier forms (ihe-wire 7; ITI TF-3 4.2.3.1.7, 4.2.3.2.12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import WireError
from node.model import PatientId
from node.wire.identifiers import (
    Institution,
    bare_oid,
    build_xon,
    home_community_id,
    is_document_unique_id,
    is_oid,
    parse_cx,
    parse_xon,
    same_community,
)

oids = st.lists(st.integers(0, 10**6), min_size=1, max_size=6).map(
    lambda arcs: "2." + ".".join(map(str, arcs))
)
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]),
    min_size=1,
    max_size=20,
)


@given(oid=oids, prefix=st.sampled_from(["", "urn:oid:", "URN:OID:", " urn:oid:"]))
def test_a_home_community_id_is_urn_oid_whatever_came(oid, prefix):
    assert home_community_id(f"{prefix}{oid}\n") == f"urn:oid:{oid}"
    assert bare_oid(prefix + oid) == oid
    assert same_community(prefix + oid, oid)


@pytest.mark.parametrize(
    "text",
    ["", "urn:oid:", "1", "3.1", "1..2", "1.02", "1.2.", "1.2.x", "urn:uuid:1.2", "१.२", "1.2\x00"],
)
def test_what_is_no_oid_is_refused(text):
    with pytest.raises(WireError) as caught:
        home_community_id(text)
    assert caught.value.code == "identifier-invalid"
    assert not same_community(text, "1.2")


def test_a_home_community_id_has_64_characters_with_its_prefix():
    longest = "1." + "2" * 54
    assert len(home_community_id(longest)) == 64
    with pytest.raises(WireError):
        home_community_id(longest + "2")
    assert is_oid("1." + "2" * 62)
    assert not is_oid("1." + "2" * 63)


@given(oid=oids, value=texts)
def test_cx_round_trip(oid, value):
    patient = PatientId(assigning_authority=oid, id=value)
    assert parse_cx(patient.cx) == patient


def test_cx_of_partners():
    expected = PatientId(assigning_authority="1.2.3", id="90")
    assert parse_cx("90^^^&1.2.3&ISO") == expected
    assert parse_cx(" 90^^^NAME&1.2.3&iso ") == expected
    assert parse_cx("90^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:uniqueId") == expected
    assert parse_cx(expected.cx) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90",
        "90^^^",
        "90^^^&1.2.3",
        "90^^^&1.2.3&DNS",
        "^^^&1.2.3&ISO",
        "90^^^&x&ISO",
        "9" * 600,
    ],
)
def test_what_is_no_cx_is_refused_without_repeating_it(text):
    with pytest.raises(WireError) as caught:
        parse_cx(text)
    assert caught.value.code == "identifier-invalid"
    assert "90" not in str(caught.value)


@given(name=texts, id_=st.none() | texts, oid=st.none() | oids)
def test_xon_round_trip(name, id_, oid):
    value = Institution(name=name, id=id_, assigning_authority=oid if id_ else None)
    assert parse_xon(build_xon(value)) == value


def test_xon_of_partners():
    assert parse_xon("Some Hospital") == Institution(name="Some Hospital")
    assert parse_xon("Some Hospital^^^^^^^^^1.2.3.4.5") == Institution(
        name="Some Hospital", id="1.2.3.4.5"
    )
    assert parse_xon("Some Hospital^^^^^&1.2.3&ISO^^^^45") == Institution(
        name="Some Hospital", id="45", assigning_authority="1.2.3"
    )
    for text in ("", "^^^^^&1.2.3&ISO^^^^45", "A^^^^^&x&ISO^^^^45", "A" * 600):
        with pytest.raises(WireError):
            parse_xon(text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("1.2.3^45", True),
        ("urn:uuid:9d5d2d1c-1a51-4d42-9bbd-2f6a4b5ab2c3", True),
        ("", False),
        ("a b", False),
        ("a\n", False),
        ("1" * 128, True),
        ("1" * 129, False),
    ],
)
def test_document_unique_ids(text, fits):
    assert is_document_unique_id(text) is fits
