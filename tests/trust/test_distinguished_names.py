"""Distinguished names are compared as RFC 5280 7.1 says."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from trust.distinguished_names import comparable, is_within, same_name

WORDS = st.lists(
    st.text(st.characters(categories=("L", "N")), min_size=1, max_size=3), min_size=1, max_size=3
)


def name(*values, oid=NameOID.COMMON_NAME):
    return x509.Name([x509.NameAttribute(oid, value) for value in values])


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Good CA", "Good CA", True),
        ("Good CA", "GOOD ca", True),
        ("Good CA", "  Good   CA ", True),
        ("Good CA", "Good\tCA", True),
        ("Good CA", "Good\u00a0CA", True),
        ("Stra\u00dfe", "STRASSE", True),
        ("\u00c5", "A\u030a", True),
        ("Good\u00adCA", "GoodCA", True),
        ("Good CA", "GoodCA", False),
        ("Good CA", "Good CA 2", False),
        ("a", "\u0430", False),
    ],
)
def test_values(first, second, same):
    assert same_name(name(first), name(second)) is same


def test_the_order_of_rdns_matters_and_within_one_it_does_not():
    one, two = (
        x509.NameAttribute(NameOID.COMMON_NAME, "one"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "two"),
    )
    rdn = x509.RelativeDistinguishedName
    assert not same_name(x509.Name([one, two]), x509.Name([two, one]))
    assert same_name(x509.Name([rdn([one, two])]), x509.Name([rdn([two, one])]))
    assert not same_name(x509.Name([rdn([one, two])]), x509.Name([one, two]))


def test_the_kind_of_attribute_matters():
    assert not same_name(name("a"), name("a", oid=NameOID.ORGANIZATION_NAME))


def test_a_subtree():
    assert is_within(name("a", "b"), name("A"))
    assert is_within(name("a"), name("a"))
    assert is_within(name("a"), x509.Name([]))
    assert not is_within(name("a"), name("a", "b"))
    assert not is_within(name("b", "a"), name("a"))


@given(words=WORDS, gap=st.sampled_from([" ", "  ", "\t", " \n "]))
def test_spacing_and_case_never_matter(words, gap):
    plain, odd = " ".join(words), gap + gap.join(words) + gap
    assert same_name(name(plain), name(odd))
    assert comparable(name(plain)) == comparable(name(plain.casefold()))


@given(first=WORDS, second=WORDS)
def test_names_that_are_equal_are_equal_both_ways(first, second):
    one, two = name(" ".join(first)), name(" ".join(second))
    assert same_name(one, two) == same_name(two, one) == (comparable(one) == comparable(two))
