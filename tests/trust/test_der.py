"""The small DER reader: what it takes, and that nothing but DER is taken."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from trust.der import OBJECT_IDENTIFIER, SEQUENCE, dotted, elements, only


@pytest.mark.parametrize(
    "data",
    [
        b"\x30",
        b"\x30\x01",
        b"\x30\x80\x00\x00",
        b"\x30\x81\x01\x05",
        b"\x30\x82\x00\x80" + bytes(128),
        b"\x30\x85\x01\x00\x00\x00\x00",
        b"\x30\x81",
        b"\x3f\x01\x00",
        b"\x30\xff",
    ],
    ids=[
        "no-length",
        "cut-off",
        "indefinite",
        "long-form-for-short",
        "leading-zero",
        "huge",
        "length-cut-off",
        "long-tag",
        "reserved",
    ],
)
def test_what_is_no_der(data):
    with pytest.raises(ValueError, match=r"element|length"):
        list(elements(data))


@pytest.mark.parametrize("data", [b"", b"\x30\x00\x30\x00", b"\x31\x00"])
def test_only_one_element_of_the_kind(data):
    with pytest.raises(ValueError, match="not one element"):
        only(data, SEQUENCE)


@given(parts=st.lists(st.binary(max_size=300), max_size=4))
def test_what_was_put_in_comes_out(sequence, parts):
    whole = sequence(*(sequence(part, tag=4) for part in parts))
    assert [content for _, content, _ in elements(only(whole, SEQUENCE))] == parts
    assert b"".join(part for _, _, part in elements(only(whole, SEQUENCE))) == only(whole, SEQUENCE)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        found = list(elements(data))
    except ValueError:
        return
    assert b"".join(whole for _, _, whole in found) == data


@pytest.mark.parametrize("text", ["2.5.29.33", "0.9.2342", "1.3.6.1.4.1.311.20.2.3", "2.999.1"])
def test_object_identifiers(text):
    pair = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(text), None)])
    information = only(pair.public_bytes(), SEQUENCE)
    assert dotted(only(only(information, SEQUENCE), OBJECT_IDENTIFIER)) == text


@pytest.mark.parametrize("content", [b"", b"\x80\x01", b"\x2a\x80", b"\x2a\x80\x01"])
def test_what_is_no_object_identifier(content):
    with pytest.raises(ValueError, match=r"arc|cut off"):
        dotted(content)
