"""Our UDAP metadata, read as a client would (fhir-and-udap 1.3, 1.9, 9.2; tefca 8 "Metadata")."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests import udap_world as world
from tests.oauth_world import BASE, CERTIFICATION, OauthWorld
from tests.udap_world import NOW
from trust.signer import KeySigner
from trust.udap.jwt import proved, read_jwt
from trust.udap.metadata import check_signed, read_plain
from trust.udap.signers import judge_signer


@pytest.fixture
async def oauth(tmp_path):
    async with OauthWorld(tmp_path).running() as made:
        yield made


async def document(oauth, query=""):
    response, data = await oauth.get(f".well-known/udap{query}")
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    return json.loads(data)


async def test_every_field_of_the_table_is_as_it_must_be(oauth):
    found = await document(oauth)
    assert found["udap_versions_supported"] == ["1"]
    assert found["udap_profiles_supported"] == ["udap_dcr", "udap_authn", "udap_authz"]
    # it does not go with a code, and "required" means in every token request
    assert found["udap_authorization_extensions_supported"] == ["hl7-b2b"]
    assert found["udap_authorization_extensions_required"] == []
    assert set(found["udap_authorization_extensions_required"]) <= set(
        found["udap_authorization_extensions_supported"]
    )
    assert found["udap_certifications_supported"] == [CERTIFICATION]
    assert found["udap_certifications_required"] == [CERTIFICATION]
    assert found["grant_types_supported"] == [
        "client_credentials",
        "authorization_code",
        "refresh_token",
    ]
    assert found["authorization_endpoint"] == f"{BASE}/authorize"
    assert "system/*.rs" in found["scopes_supported"]
    assert found["token_endpoint"] == f"{BASE}/token"
    assert found["registration_endpoint"] == f"{BASE}/register"
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    for name in (
        "token_endpoint_auth_signing_alg_values_supported",
        "registration_endpoint_jwt_signing_alg_values_supported",
    ):
        assert found[name] == ["RS256", "ES256", "RS384", "ES384"]


async def test_the_signed_part_holds_for_a_client_of_the_community(oauth):
    found = await document(oauth)
    plain = read_plain(found)
    assert plain.deviations == ()
    sealed = read_jwt(plain.signed)
    verdict = judge_signer(sealed.leaf, sealed.intermediates, world.knowledge(), now=NOW)
    signed = check_signed(
        proved(sealed),
        plain,
        algorithm=sealed.algorithm,
        uris=verdict.uris,
        base_url=BASE,
        now=NOW,
    )
    assert signed.token_endpoint == found["token_endpoint"]
    assert signed.registration_endpoint == found["registration_endpoint"]
    claims = proved(sealed)
    assert claims["authorization_endpoint"] == found["authorization_endpoint"]
    assert claims["iss"] == claims["sub"] == BASE
    assert "aud" not in claims
    assert claims["exp"] - claims["iat"] <= 366 * 86400


async def test_our_community_is_answered_and_others_get_204(oauth):
    assert (await document(oauth, f"?community={world.COMMUNITY}"))["signed_metadata"]
    response, data = await oauth.get(".well-known/udap?community=urn:oid:2.999.77")
    assert (response.status, data) == (204, b"")


async def test_what_nobody_would_believe_is_not_published(oauth):
    """404: no UDAP workflow at all (1.3). Our certificate is of no community, or not our URL's."""
    oauth.knowledge = world.knowledge(world.certificate("Other root", ca=True))
    response, _ = await oauth.get(".well-known/udap")
    assert response.status == 404
    oauth.knowledge = world.knowledge()
    oauth.signer = KeySigner(
        key=world.key("Server"),
        certificate=world.certificate("Server", "Intermediate", uris=(BASE + "/r4",)),
        chain=(world.intermediate(),),
    )
    response, _ = await oauth.get(".well-known/udap")
    assert response.status == 404


async def test_the_signed_part_is_kept_and_renewed_at_half_of_its_life(oauth):
    first = (await document(oauth))["signed_metadata"]
    oauth.clock.moment = NOW + timedelta(days=14)
    assert (await document(oauth))["signed_metadata"] == first
    oauth.clock.moment = NOW + timedelta(days=16)
    assert (await document(oauth))["signed_metadata"] != first


async def test_no_metadata_outlives_the_certificate(oauth):
    ends = NOW + timedelta(days=3)
    oauth.signer = KeySigner(
        key=world.key("Server"),
        certificate=world.certificate("Server", "Intermediate", uris=(BASE,), ends=ends),
        chain=(world.intermediate(),),
    )
    claims = proved(read_jwt((await document(oauth))["signed_metadata"].encode()))
    assert claims["exp"] <= world.seconds(ends)


async def test_a_browser_may_read_it(oauth):
    response, _ = await oauth.get(".well-known/udap", headers={"origin": "https://app.example"})
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("method", ["post", "put", "delete"])
async def test_it_is_only_read(oauth, method):
    response = await oauth.session.request(method, "/fhir/.well-known/udap")
    assert response.status == 405
