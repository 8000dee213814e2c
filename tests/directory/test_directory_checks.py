from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.address import host_of
from directory.checks import (
    check_endpoint,
    check_organization,
    check_period,
    check_possession,
    is_npi,
    is_oid,
    rules,
)
from directory.finding import finding, finding_table
from directory.model import Endpoint, Organization, Period, PostalAddress

GOOD = {
    "id": "a",
    "name": "General Hospital",
    "home_community_ids": ("urn:oid:2.999.1",),
    "npis": ("1234567893",),
    "type": "Participant",
    "initiates": frozenset({"T-TRTMNT"}),
}


def codes(**changes):
    organization = Organization(**{**GOOD, **changes})
    return [f.code for f in check_organization(organization, rules(), where="line 1")]


def test_a_good_entry_has_no_findings():
    assert codes() == []


def test_no_hcid():
    assert codes(home_community_ids=()) == ["no-hcid"]


@pytest.mark.parametrize(
    "value",
    [
        "2.999.1",
        "urn:oid:",
        "urn:oid:2.999.01",
        "urn:oid:9.1",
        "urn:oid:2..1",
        "urn:uuid:1",
        "urn:oid:2." + "1" * 55,
    ],
)
def test_malformed_oid(value):
    assert codes(home_community_ids=(value,)) == ["malformed-oid"]


def test_malformed_oid_of_an_assigning_authority():
    assert codes(assigning_authorities=("2.999.x",)) == ["malformed-oid"]


def test_malformed_oid_of_a_tefcaid_in_oid_form():
    assert codes(tefca_ids=("urn:oid:x",)) == ["malformed-oid"]
    assert codes(tefca_ids=("urn:uuid:x",)) == []


def test_no_tefcaid_matters_in_the_rce_domain_only():
    assert codes(domains=("RCE",)) == ["no-tefcaid"]
    assert codes(domains=("CQ",)) == []


@pytest.mark.parametrize(
    "value",
    ["1234567890", "123456789", "12345678934", "123456789X", "123456789\N{FULLWIDTH DIGIT THREE}"],
)
def test_npi_check_digit(value):
    assert codes(npis=(value,)) == ["npi-check-digit"]


@given(st.integers(0, 10**9 - 1))
def test_exactly_one_check_digit_makes_an_npi(stem):
    prefix = rules().npi_prefix
    assert sum(is_npi(f"{stem:09d}{digit}", prefix) for digit in range(10)) == 1


@pytest.mark.parametrize(
    ("zip_code", "country", "found"),
    [
        ("2472", "US", True),
        ("501", None, True),
        ("2472-1234", "usa", True),
        ("02472", "US", False),
        ("02472-1234", "US", False),
        ("2472", "NL", False),
        (None, "US", False),
    ],
)
def test_zip_leading_zeros(zip_code, country, found):
    address = PostalAddress(postal_code=zip_code, country=country)
    assert codes(addresses=(address,)) == (["zip-leading-zeros"] if found else [])


def test_no_purposes():
    assert codes(initiates=frozenset()) == ["no-purposes"]


@pytest.mark.parametrize("purpose", ["T-TREAT", "T-TRTMNT"])
def test_treatment_without_npi_is_rce_o1(purpose):
    assert codes(npis=(), initiates=frozenset({purpose})) == ["treatment-without-npi"]
    assert codes(npis=(), initiates=frozenset({"T-IAS"})) == []


def test_missing_type_is_rce_o2_and_an_error():
    assert codes(type=None) == ["missing-type"]
    assert finding("missing-type", "a").severity == "error"


def test_inactive():
    assert codes(active=False) == ["inactive"]


@pytest.mark.parametrize(
    ("name", "found"),
    [("TEST Clinic", True), ("Acme (Demo)", True), ("Greatest Care", False), ("Contest", False)],
)
def test_test_looking_name(name, found):
    assert codes(name=name) == (["test-looking-name"] if found else [])


def test_leaf_with_endpoint():
    child = Organization(**{**GOOD, "type": "Child"})
    assert [f.code for f in check_possession(child, rules(), endpoints=1)] == ["leaf-with-endpoint"]
    assert list(check_possession(child, rules(), endpoints=0)) == []


def test_initiator_only_with_endpoint():
    entry = Organization(**GOOD, initiator_only=True)
    found = check_possession(entry, rules(), endpoints=1)
    assert [f.code for f in found] == ["initiator-only-with-endpoint"]


def endpoint_codes(**fields):
    return [f.code for f in check_endpoint(Endpoint(id="e", **fields), "a")]


@pytest.mark.parametrize(
    "address",
    [
        "http://gw.example/xca",
        "https:///xca",
        "gw.example",
        "https://user@gw.example/",
        "https://gw.example:0/",
        "https://gw.example:99999/",
        "https://gw example/",
        "https://gw.example/#x",
        "https://[::1/",
        "https://" + "a" * 254 + "/",
        "ftp://gw.example",
    ],
)
def test_endpoint_bad_url(address):
    assert endpoint_codes(address=address) == ["endpoint-bad-url"]
    assert host_of(address) is None


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://GW.Example:8443/x", "gw.example"),
        ("https://gw.example./x", "gw.example"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://[2001:db8::1]/", "2001:db8::1"),
    ],
)
def test_the_host_of_an_address_is_lower_case_and_ascii(address, host):
    assert host_of(address) == host
    assert endpoint_codes(address=address) == []


def test_endpoint_no_address():
    assert endpoint_codes() == ["endpoint-no-address"]


def test_endpoint_not_active():
    assert endpoint_codes(address="https://a.example/", status="off") == ["endpoint-not-active"]


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("2026-01-01", None, False),
        ("2026", "2026", False),
        ("2026-11-20", "2026-11-20T00:00:00Z", False),
        (None, "2026-11-19", True),
        ("2027", None, True),
        ("2026-12", None, True),
    ],
)
def test_endpoint_expired(start, end, found):
    endpoint = Endpoint(id="e", period=Period(start=start, end=end))
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert bool(list(check_period(endpoint, "a", now=now))) is found


def test_published_text_in_a_sentence_is_short_and_printable():
    sentence = finding("malformed-oid", "a", what="x", value="\x1b[31m" + "y" * 500).sentence
    assert sentence.isprintable()
    assert len(sentence) < 200


def test_every_finding_has_a_severity_and_a_sentence():
    for code, row in finding_table().items():
        assert row["severity"] in {"error", "warning", "info"}, code
        assert row["sentence"].endswith("."), code


def test_an_oid_is_well_formed():
    assert is_oid("2.999.1")
    assert not is_oid("1.2.840.")
