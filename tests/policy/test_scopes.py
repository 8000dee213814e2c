"""Scopes of SMART App Launch 2, and how a server grants them (fhir-and-udap 2.4, 1.5)."""

from __future__ import annotations

import pytest

from node.policy.scopes import Offer, allows, negotiate, own_offer, parse_scope, parse_scopes

OFFER = Offer(
    contexts=("system",),
    operations="rs",
    wildcards=("*.rs", "*.read"),
    types=("Patient", "Observation"),
)


@pytest.mark.parametrize(
    ("text", "operations"),
    [
        ("system/Patient.rs", "rs"),
        ("system/Patient.read", "rs"),
        ("system/Patient.write", "cud"),
        ("system/Patient.*", "cruds"),
        ("system/*.r", "r"),
        ("patient/Observation.cruds", "cruds"),
    ],
)
def test_both_spellings_are_read(text, operations):
    assert parse_scope(text).operations == operations


@pytest.mark.parametrize(
    "text",
    [
        "openid",
        "launch/patient",
        "system/Patient.",
        "system/Patient.dus",
        "system/patient.rs",
        "system/Patient.rs ",
        "System/Patient.rs",
        "system/Patient.rr",
        "system/Patient.rs?",
        "system/Pati\u00e9nt.rs",
    ],
)
def test_what_is_no_resource_scope_is_none(text):
    assert parse_scope(text) is None


ROWS = {
    "what is offered": ("system/Patient.rs", "system/Patient.rs"),
    "a subset of what is asked": ("system/Patient.cruds", "system/Patient.rs"),
    "the old spelling stays": ("system/Patient.read", "system/Patient.read"),
    "the old star is narrowed": ("system/Patient.*", "system/Patient.read"),
    "an unknown type is left out": ("system/Patient.rs system/Basic.rs", "system/Patient.rs"),
    "another context is left out": ("user/Patient.rs system/Patient.r", "system/Patient.r"),
    "writing alone is nothing": ("system/Patient.cud", ""),
    "openid is nothing": ("openid fhirUser", ""),
    "an advertised wildcard": ("system/*.rs", "system/*.rs"),
    "the other spelling of it": ("system/*.read", "system/*.read"),
    "a condition stays": (
        "system/Observation.rs?category=laboratory",
        "system/Observation.rs?category=laboratory",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_scope_is_granted_as_far_as_it_is_offered(row):
    asked, granted = ROWS[row]
    assert str(negotiate(asked.split(), OFFER)) == granted


@pytest.mark.parametrize("wildcard", ["system/*.cruds", "system/*.*", "system/*.write"])
def test_a_wildcard_that_is_not_advertised_is_refused(wildcard):
    found = negotiate(["system/Patient.rs", wildcard], OFFER)
    assert found.refused_wildcard
    assert not found.granted


def test_a_user_scope_never_becomes_a_system_scope():
    assert not negotiate(["user/*.rs", "patient/*.rs"], OFFER).granted


def test_a_token_never_has_more_than_its_client_registered():
    within = parse_scopes(["system/Patient.r", "system/Observation.rs?category=laboratory"])
    asked = ["system/Patient.rs", "system/Observation.rs", "system/*.rs"]
    assert str(negotiate(asked, OFFER, within=within)) == "system/Patient.r"
    narrowed = ["system/Observation.s?category=laboratory"]
    assert str(negotiate(narrowed, OFFER, within=within)) == narrowed[0]


def test_everything_advertised_is_granted():
    offer = own_offer()
    for scope in offer.advertised:
        assert str(negotiate([scope], offer)) == scope


def test_what_a_grant_allows():
    granted = parse_scopes(["system/Patient.r", "system/Observation.rs?category=laboratory"])
    assert allows(granted, "Patient", "r") == ()
    assert allows(granted, "Patient", "s") is None
    assert allows(granted, "Observation", "s") == ("category=laboratory",)
    assert allows(granted, "Condition", "r") is None
    assert allows(parse_scopes(["system/*.rs"]), "Condition", "s") == ()
