"""What our node says as a UDAP client, requirement by requirement (facts fhir-and-udap 1.4 to 1.6).

The kit does this against a mock server; here the claims are looked at before they are signed, and
read by our own server's readers, which refuse whatever the guide does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from node.model import Code, HomeCommunityId, Principal
from node.peers.udap.statements import (
    OwnClient,
    authentication_token,
    b2b_object,
    software_statement,
)
from node.policy.purposes import purpose_register
from trust.udap.b2b import read_b2b
from trust.udap.claims import Expected, check_envelope

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
REGISTER = "https://hill.example/fhir/register"
TOKEN = "https://hill.example/fhir/token"
PURPOSE = purpose_register().by_code("T-TRTMNT")
assert PURPOSE is not None
CLIENT = OwnClient(
    uri="urn:oid:2.999.1#T-TRTMNT", name="Lake Hospital", contact="mailto:fhir@lake.example",
    purpose="T-TRTMNT", home_community_id="urn:oid:2.999.1",
)  # fmt: skip
PERSON = Principal(
    subject_id="Ida Sample, MD", user_id="isample", organization="Lake Hospital",
    organization_id="lake", home_community_id=HomeCommunityId("urn:oid:2.999.1"),
    role=Code(code="59058001", scheme="2.16.840.1.113883.6.96"), purpose=PURPOSE.code,
    npi="1234567893",
)  # fmt: skip


def statement(**options):
    return software_statement(
        CLIENT, REGISTER, scope=["system/Patient.rs"], jti="j-1", now=NOW, **options
    )


def test_a_statement_has_every_claim_and_lives_for_five_minutes():
    claims = statement()
    assert set(claims) == {
        "iss", "sub", "aud", "iat", "exp", "jti", "client_name", "contacts", "grant_types",
        "token_endpoint_auth_method", "scope",
    }  # fmt: skip
    assert claims["iss"] == claims["sub"] == CLIENT.uri
    assert claims["aud"] == REGISTER
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert claims["token_endpoint_auth_method"] == "private_key_jwt"
    assert claims["grant_types"] == ["client_credentials"]
    check_envelope(claims, Expected(issuers=[CLIENT.uri], audience=REGISTER), now=NOW)


def test_contacts_has_a_mailto_address():
    assert any(each.startswith("mailto:") for each in statement()["contacts"])


def test_for_client_credentials_there_is_nothing_of_a_browser():
    assert not {"redirect_uris", "response_types", "logo_uri"} & set(statement())


def test_a_cancellation_is_the_statement_with_empty_grant_types():
    assert statement(cancels=True) == statement() | {"grant_types": []}


@pytest.mark.parametrize("number", [1, 2])
def test_every_authentication_token_is_for_one_request(number):
    """The caller gives each a jti; the claims say nothing that outlives five minutes."""
    claims = authentication_token("client-1", TOKEN, {"hl7-b2b": {}}, jti=f"j-{number}", now=NOW)
    assert claims["jti"] == f"j-{number}"
    assert claims["iss"] == claims["sub"] == "client-1"
    assert claims["aud"] == TOKEN
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert set(claims["extensions"]) == {"hl7-b2b"}


def test_hl7_b2b_has_its_keys_and_one_purpose():
    register = purpose_register()
    given = b2b_object(PERSON, register)
    assert set(given) == {
        "version", "subject_name", "subject_id", "subject_role", "organization_name",
        "organization_id", "purpose_of_use",
    }  # fmt: skip
    assert given["version"] == "1"
    assert given["organization_id"] == "Organization/lake"
    assert given["subject_id"] == "urn:oid:2.16.840.1.113883.4.6#1234567893"
    assert given["purpose_of_use"] == [f"urn:oid:{register.system}#T-TRTMNT"]
    read = read_b2b(given, system=register.system, codes=register.purposes)
    assert (read.purpose, read.unknown) == ("T-TRTMNT", ())


def test_a_system_is_named_without_id_and_role():
    given = b2b_object(replace(PERSON, npi=None), purpose_register())
    assert given["subject_name"] == "Ida Sample, MD"
    assert not {"subject_id", "subject_role"} & set(given)
