"""id_tokens of credential service providers, one test for each rule (facts: tefca 8.1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from joserfc.jwk import OctKey

from tests.ias_world import HCID, ISSUER, NOW, csp_key, id_token, rules
from trust.errors import TrustError
from trust.udap.id_token import MAX_BYTES, digest_of_id_token, read_id_token


def refused(token: str, **changes) -> TrustError:
    with pytest.raises(TrustError) as caught:
        read_id_token(token, rules(**changes), audience=HCID, now=NOW)
    assert "Brightwater" not in str(caught.value) + caught.value.sentence
    return caught.value


def test_a_token_that_holds_tells_whom_the_provider_proved():
    found = read_id_token(id_token(), rules(), audience=HCID, now=NOW)
    assert (found.issuer, found.token_id) == (ISSUER, "token-1")
    assert found.expires == NOW + timedelta(minutes=5)
    person = found.person
    assert (person.family, person.given, person.birth_date) == (
        "Brightwater", "Orsolya", "19810709",
    )  # fmt: skip
    assert (person.city, person.state, person.postal_code) == ("Salem", "OR", "97301")
    assert person.phone == "+15035550100"
    assert "Brightwater" not in repr(found)


def test_the_state_is_read_as_regionality_and_as_region():
    for name in ("region", "regionality"):
        address = {"locality": "Salem", name: "OR"}
        found = read_id_token(id_token({"address": address}), rules(), audience=HCID, now=NOW)
        assert found.person.state == "OR"


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256"])
def test_rs256_only(alg):
    assert refused(id_token(alg=alg)).code == "jwt-algorithm"


def test_a_token_signed_by_nobody_or_with_a_secret_is_none():
    unsigned = id_token().rsplit(".", 1)[0] + "."
    assert refused(unsigned).code == "jwt-malformed"
    secret = OctKey.import_key("a" * 64, {"kid": "one"})
    assert refused(id_token(key=secret, alg="HS256")).code == "jwt-algorithm"


def test_the_issuer_is_one_of_the_settings_letter_by_letter():
    for issuer in ("https://csp.example/", "https://CSP.example", "https://other.example"):
        assert refused(id_token({"iss": issuer})).code == "id-token-issuer"


def test_the_key_is_one_that_the_issuer_publishes():
    assert refused(id_token(key=csp_key("two"))).code == "jwks-key-unknown"
    stranger = csp_key("three")
    assert refused(id_token(key=stranger, header={"kid": "one"})).code == "jwt-signature"
    assert refused(id_token(header={"kid": None})).code == "id-token-kid"


@pytest.mark.parametrize("audience", ["urn:oid:2.999.3", "2.999.2", "URN:OID:2.999.2"])
def test_the_audience_is_the_home_community_id_of_who_shows_it(audience):
    assert refused(id_token(audience=audience)).code == "jwt-audience"


def test_an_audience_of_one_in_an_array_is_tolerated_and_counted():
    found = read_id_token(id_token({"aud": [HCID]}), rules(), audience=HCID, now=NOW)
    assert found.deviations == ("audience-array",)
    assert refused(id_token({"aud": [HCID, "urn:oid:2.999.3"]})).code == "jwt-audience"


@pytest.mark.parametrize(
    ("code", "issued", "life"),
    [
        ("jwt-expired", -301, 300),
        ("jwt-expired", -300, 300),
        ("jwt-not-yet-valid", 120, 300),
        ("jwt-lifetime", 0, 3601),
        ("jwt-lifetime", 0, 0),
    ],
)
def test_it_is_in_its_time_and_its_life_is_short(code, issued, life):
    begin = int(NOW.timestamp()) + issued
    assert refused(id_token({"iat": begin, "exp": begin + life})).code == code


@pytest.mark.parametrize(
    "claim",
    ["sub", "jti", "iat", "exp", "aud", "family_name", "given_name", "birthdate", "address",
     "phone_number"],
)  # fmt: skip
def test_every_claim_that_it_has_to_have(claim):
    error = refused(id_token({claim: None}))
    assert error.code == "jwt-claim-missing"


def test_email_or_phone_suffices_unless_the_provider_says_it_is_unproved():
    read_id_token(
        id_token({"phone_number": None, "email": "o@mail.example"}),
        rules(), audience=HCID, now=NOW,
    )  # fmt: skip
    unproved = {"phone_number_verified": False}
    assert refused(id_token(unproved)).code == "jwt-claim-missing"


@pytest.mark.parametrize(
    "claims",
    [
        {"birthdate": "1981"},
        {"birthdate": "09/07/1981"},
        {"birthdate": 19810709},
        {"address": "1 High Street"},
        {"address": {"locality": "Salem"}},
        {"family_name": ["Brightwater"]},
        {"given_name": "x" * 300},
    ],
)
def test_a_claim_of_another_form_refuses_it(claims):
    assert refused(id_token(claims)).code == "jwt-claim-form"


def test_what_is_too_large_or_no_jwt_is_refused_before_anything_else():
    assert refused("a" * (MAX_BYTES + 1)).code == "jwt-too-large"
    assert refused("eyJ.e30.x").code == "jwt-malformed"
    assert refused("\udcff.a.b").code == "jwt-malformed"


def test_the_same_token_goes_with_every_question_and_its_jti_is_not_remembered():
    token = id_token()
    for _ in range(2):
        read_id_token(token, rules(), audience=HCID, now=NOW)


def test_the_log_keeps_a_digest():
    assert len(digest_of_id_token(id_token())) == 64
