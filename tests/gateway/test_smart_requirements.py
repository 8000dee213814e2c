"""Requirements of SMART App Launch 2.2, as its conformance tests check them, in our own words.

Each test is named after its requirement, with its source in the docstring (fhir-and-udap 2, 9.2).
Those of tokens are in the tests of backends and launches; here is what the groups have in common.
"""

from __future__ import annotations

import json

import pytest

from node.gateway.oauth.guard import Guard
from tests.oauth_world import BASE
from tests.smart_world import BACK, PeopleWorld, app, backend

FULL = "launch/patient openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"


@pytest.fixture
async def smart(tmp_path):
    async with PeopleWorld(tmp_path).running() as made:
        yield made


async def document(smart, path=".well-known/smart-configuration", **headers):
    response, data = await smart.get(path, headers=headers)
    assert response.status == 200
    return response, json.loads(data)


async def test_discovery_is_json_whatever_is_accepted_and_open_to_other_origins(smart):
    """SMART 2.2 "Using .well-known": JSON regardless of Accept; CORS for browser apps."""
    for accept in ("application/json", "application/fhir+xml", "text/html"):
        response, _ = await document(smart, accept=accept, origin="https://app.example")
        assert response.headers["content-type"] == "application/json"
        assert response.headers["access-control-allow-origin"] == "*"


async def test_discovery_has_every_required_field(smart):
    """2.1: required fields, and those that are conditional on a capability that is listed."""
    _, found = await document(smart)
    required = {"grant_types_supported", "token_endpoint", "capabilities",
                "code_challenge_methods_supported", "authorization_endpoint", "issuer",
                "jwks_uri"}  # fmt: skip
    assert required <= set(found)
    assert "sso-openid-connect" in found["capabilities"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert {"RS384", "ES384"} & set(found["token_endpoint_auth_signing_alg_values_supported"])
    assert found["issuer"] == BASE


async def test_every_endpoint_of_discovery_is_absolute_and_there(smart):
    """2.1: absolute URLs."""
    _, found = await document(smart)
    for name, value in found.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith(f"{BASE}/"), name
            async with smart.session.get(value.removeprefix("https://hill.example")) as answer:
                assert answer.status != 404, name


async def test_without_a_key_nothing_is_said_of_openid(smart):
    """2.1: issuer and jwks_uri only with sso-openid-connect; say only what is true."""
    smart.server.id_tokens._signer = _no_identity
    _, found = await document(smart)
    assert "sso-openid-connect" not in found["capabilities"]
    assert not {"issuer", "jwks_uri"} & set(found)
    assert not {"openid", "fhirUser"} & set(found["scopes_supported"])
    response, _ = await smart.get(".well-known/openid-configuration")
    assert response.status == 404
    body = await smart.opened(smart.add(app()), scope=FULL)
    assert "id_token" not in body
    assert "openid" not in body["scope"].split()


def _no_identity():
    from trust.errors import TrustError  # noqa: PLC0415

    raise TrustError("file-unreadable", "There is none.")


async def test_every_scope_of_apps_that_is_listed_works(smart):
    """2.1: all scopes listed must work."""
    _, found = await document(smart)
    listed = [s for s in found["scopes_supported"] if not s.startswith("system/")]
    smart.accounts.set_practitioner("ida", "pr-1")
    client_id = smart.add(app(scopes=tuple(listed)))
    asked = [s for s in listed if s not in ("launch", "online_access")]
    body = await smart.opened(client_id, scope=" ".join(asked))
    assert set(body["scope"].split()) == set(asked)


async def test_at_the_network_there_are_no_scopes_of_a_patient(smart):
    """2.1: the document of a base address says what is so there."""
    _, found = await document(smart, "network/.well-known/smart-configuration")
    assert not [s for s in found["scopes_supported"] if s.startswith(("patient/", "launch/"))]
    assert "permission-patient" not in found["capabilities"]
    assert found["token_endpoint"] == f"{BASE}/token"
    given = app(scopes=("patient/Patient.rs", "user/Patient.rs", "launch/patient"))
    client_id = smart.add(given)
    scope = "launch/patient patient/Patient.rs user/Patient.rs"
    body = await smart.opened(client_id, scope=scope, aud=f"{BASE}/network")
    assert body["scope"] == "user/Patient.rs"
    assert "patient" not in body


async def test_openid_configuration_names_keys_and_algorithms(smart):
    """OpenID Connect Discovery 3, which SMART's sso-openid-connect builds on."""
    _, found = await document(smart, ".well-known/openid-configuration")
    assert found["issuer"] == BASE
    assert found["id_token_signing_alg_values_supported"] == ["RS256"]
    assert found["response_types_supported"] == ["code"]
    assert found["subject_types_supported"] == ["public"]
    _, keys = await document(smart, "jwks.json")
    assert [(k["kty"], k["alg"], k["use"]) for k in keys["keys"]] == [("RSA", "RS256", "sig")]
    assert not {"d", "p", "q"} & set(keys["keys"][0])


async def test_a_token_response_has_its_fields_and_is_kept_by_nobody(smart):
    """2.3: access_token, token_type, expires_in, scope; Cache-Control no-store, Pragma no-cache."""
    client_id = smart.add(app())
    code = await smart.approved(client_id)
    response, body = await smart.exchange(client_id, code)
    assert {"access_token", "token_type", "expires_in", "scope"} <= set(body)
    assert body["token_type"].lower() == "bearer"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"


async def test_a_standalone_launch_with_a_patients_scope_gives_a_patient(smart):
    """2.3: launch context ``patient`` for launch/patient."""
    body = await smart.opened(smart.add(app()))
    assert body["patient"] == "ann"


async def test_an_app_with_a_users_scopes_needs_no_patient(smart):
    """2.4: user scopes are bound to no patient."""
    body = await smart.opened(smart.add(app()), scope="user/Practitioner.rs")
    assert "patient" not in body
    assert Guard(smart.server).of_token(body["access_token"]).approval.patient is None


async def test_scopes_of_version_1_and_2_and_granular_ones_are_granted_as_asked(smart):
    """2.4: read is rs; a category narrows."""
    scope = "patient/Patient.read patient/Observation.rs?category=laboratory"
    body = await smart.opened(smart.add(app()), scope=scope)
    assert body["scope"] == scope


async def test_a_code_in_a_basic_header_or_with_a_bad_redirect_gives_no_token(smart):
    """9.2 token exchange: invalid code, invalid client."""
    client_id = smart.add(app())
    code = await smart.approved(client_id)
    headers = {"authorization": "Basic Y2hhcnQ6eA=="}
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
            "client_id": client_id}  # fmt: skip
    response, body = await smart.post("token", data=form, headers=headers)
    assert (response.status, body["error"]) == (400, "invalid_request")
    response, body = await smart.exchange(client_id, "BAD_CODE")
    assert (response.status, body["error"]) == (400, "invalid_grant")
    response, body = await smart.exchange("BAD_CLIENT_ID", code)
    assert (response.status, body["error"]) == (401, "invalid_client")


async def test_introspection_needs_a_token_and_tells_nothing_of_dead_ones(smart):
    """2.5: authorised by a bearer; inactive is ``{"active": false}`` alone."""
    body = await smart.opened(smart.add(app()), scope=FULL)
    response, _ = await smart.post("introspect", data={"token": body["access_token"]})
    assert response.status == 401
    bearer = {"authorization": f"Bearer {body['access_token']}"}
    _, found = await smart.post("introspect", data={"token": body["access_token"]}, headers=bearer)
    assert {"active", "scope", "client_id", "exp", "patient", "iss", "sub"} <= set(found)
    _, found = await smart.post("introspect", data={"token": "dead"}, headers=bearer)
    assert found == {"active": False}


async def test_a_system_gets_neither_refresh_token_nor_a_patient(smart):
    """2.2: no refresh token; system scopes."""
    _, body = await smart.ask(smart.add(backend()))
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert body["expires_in"] <= 300
