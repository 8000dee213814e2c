"""SMART Backend Services over HTTP, by rule (fhir-and-udap 2.1, 2.2, 9.2)."""

from __future__ import annotations

import hmac
from datetime import timedelta

import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select

from node.errors import NetworkFault, SettingsError
from node.gateway.oauth.client_keys import PAUSE
from node.gateway.oauth.grants import TokenGrants
from node.gateway.oauth.guard import Guard
from node.gateway.oauth.local_client import LOCAL
from node.outbound_fetch import Fetched
from node.policy.purposes import purpose_register
from node.storage.oauth_tables import ISSUED
from node.users.roles import role_table
from tests import udap_world as world
from tests.oauth_world import BASE, OWN
from tests.smart_world import NAME, SmartWorld, app, backend, client_key, jwks
from tests.udap_world import NOW, seconds

CLIENT, REQUEST, SCOPE = "invalid_client", "invalid_request", "invalid_scope"
KEYS_AT = "https://ehr.example/jwks.json"


@pytest.fixture
async def smart(tmp_path):
    async with SmartWorld(tmp_path).running() as made:
        yield made


@pytest.mark.parametrize(
    ("key", "alg"),
    [(client_key(), "ES384"), (client_key("one", "rsa"), "RS384"),
     (client_key("one", "rsa"), "RS256")],
)  # fmt: skip
async def test_a_backend_gets_a_bearer_token_of_five_minutes(smart, key, alg):
    client_id = smart.add(backend())
    response, body = await smart.ask(client_id, signing={"key": key, "alg": alg})
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
    assert body["scope"] == "system/Patient.rs"


async def test_both_spellings_of_scopes_are_granted_as_far_as_registered(smart):
    client_id = smart.add(backend())
    asked = "system/Patient.read system/Observation.rs?category=laboratory system/Goal.rs openid"
    _, body = await smart.ask(client_id, form={"scope": asked})
    assert body["scope"] == "system/Patient.read system/Observation.rs?category=laboratory"


async def test_a_token_ends_after_five_minutes(smart):
    _, body = await smart.ask(smart.add(backend()))
    guard = Guard(smart.server)
    smart.clock.moment = NOW + timedelta(seconds=299)
    assert guard.of_token(body["access_token"]) is not None
    smart.clock.moment = NOW + timedelta(seconds=300)
    assert guard.of_token(body["access_token"]) is None


async def test_its_token_is_of_our_organisation_and_asks_in_the_backends_name(smart):
    client_id = smart.add(backend())
    _, body = await smart.ask(client_id)
    grants = TokenGrants(
        Guard(smart.server), smart.peers, smart.server.own, purpose_register().system
    )
    found = await grants.grant(body["access_token"])
    assert found.client_id == client_id
    assert found.entry.organization_id == "hill"
    assert found.principal.subject_id == "Laboratory feed"
    assert found.principal.user_id == "lab-feed"
    assert found.principal.home_community_id == OWN
    assert found.principal.purpose == found.purpose
    assert found.purpose.code == world.PURPOSE
    assert found.patient is None


async def test_the_token_of_a_peers_client_has_no_principal(smart):
    token = await super(SmartWorld, smart).ask(await smart.registered(), form={"udap": "1"})
    grants = TokenGrants(
        Guard(smart.server), smart.peers, smart.server.own, purpose_register().system
    )
    found = await grants.grant(token[1]["access_token"])
    assert found.entry.organization_id == "lake"
    assert found.principal is None


async def test_a_token_is_in_the_log_with_the_system_that_asked(smart):
    await smart.ask(smart.add(backend()))
    leaf = smart.entries()[-1]
    assert (leaf["txn"], leaf["outcome"], leaf["purpose"]) == ("SMART-TOKEN", "ok", world.PURPOSE)
    assert leaf["peer"] == OWN
    shown = smart.shown()
    assert shown.groups["who"].value["subject_id"] == "Laboratory feed"
    assert shown.groups["query"].value["granted"] == "system/Patient.rs"


async def test_a_token_without_iat_counts(smart):
    """SMART does not ask for iat, UDAP does."""
    response, _ = await smart.ask(smart.add(backend()), iat=None)
    assert response.status == 200


async def test_an_authentication_token_is_used_once(smart):
    form = smart.form(smart.signed(smart.claims(smart.add(backend()))))
    assert (await smart.post("token", data=form))[0].status == 200
    response, body = await smart.post("token", data=form)
    assert (response.status, body["error"]) == (401, CLIENT)
    assert smart.entries()[-1]["reason"] == "jwt-replayed"


async def test_a_removed_client_gets_no_token_and_its_tokens_end(smart):
    client_id = smart.add(backend())
    _, body = await smart.ask(client_id)
    smart.server.store.end(client_id, now=smart.clock.now())
    assert Guard(smart.server).of_token(body["access_token"]) is None
    response, body = await smart.ask(client_id)
    assert (response.status, body["error"]) == (401, CLIENT)


async def test_a_peers_client_is_no_client_of_ours(smart):
    """udap=1 left out does not lead around UDAP's rules."""
    client_id = await smart.registered()
    response, body = await smart.ask(client_id)
    assert (response.status, body["error"]) == (401, CLIENT)
    assert smart.entries()[-1]["reason"] == "client-unknown"


async def test_a_client_of_ours_is_none_by_udap(smart):
    client_id = smart.add(backend())
    response, body = await super(SmartWorld, smart).ask(client_id, form={"udap": "1"})
    assert (response.status, body["error"]) == (401, CLIENT)


def _form(**changes):
    return {"form": changes}


def _claims(**changes):
    return {"claims": changes}


def _signing(**changes):
    return {"signing": changes}


RSA = client_key("one", "rsa")
SECRET = RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
REFUSALS = {
    # --- the request (Inferno: invalid grant_type, invalid client_assertion_type, invalid JWT)
    "grant_type missing": ("oauth-parameter-missing", REQUEST, _form(grant_type=None)),
    "grant_type unknown": (
        "oauth-grant-type",
        "unsupported_grant_type",
        _form(grant_type="not_a_grant_type"),
    ),
    "password": ("oauth-grant-type", "unsupported_grant_type", _form(grant_type="password")),
    "assertion type missing": (
        "oauth-parameter-missing",
        REQUEST,
        _form(client_assertion_type=None),
    ),
    "assertion type wrong": (
        "oauth-assertion-type",
        CLIENT,
        _form(client_assertion_type="not_an_assertion_type"),
    ),
    "assertion missing": ("oauth-parameter-missing", REQUEST, _form(client_assertion=None)),
    "assertion no JWT": ("jwt-malformed", CLIENT, _form(client_assertion="not.a")),
    "scope missing": ("oauth-parameter-missing", REQUEST, _form(scope=None)),
    "client_secret beside it": ("oauth-client-secret", REQUEST, _form(client_secret="x")),
    "another client_id beside it": ("client-unknown", CLIENT, _form(client_id="another")),
    # --- the header
    "alg none": (
        "jwt-algorithm",
        CLIENT,
        _form(client_assertion=b".".join(
            (world.part({"alg": "none", "kid": client_key().kid}), world.part({"iss": "x"}), b"AA")
        ).decode()),
    ),
    "HMAC with the public key": ("jwt-algorithm", CLIENT, {"hmac": SECRET}),
    "alg of another kind than the key": (
        "jwks-key-unknown",
        CLIENT,
        _signing(key=RSA, alg="RS384", kid=client_key().kid),
    ),
    "ES256, which SMART does not name": (
        "jwt-algorithm",
        CLIENT,
        _signing(key=client_key("two", "p-256"), alg="ES256"),
    ),
    "kid missing": ("client-key", CLIENT, _signing(kid=None)),
    "kid unknown": ("jwks-key-unknown", CLIENT, _signing(kid="another")),
    "jku that is not registered": (
        "client-key",
        CLIENT,
        _signing(jku="https://thief.example/jwks.json"),
    ),
    "another key under the kid": (
        "jwt-signature",
        CLIENT,
        _signing(key=client_key("thief"), kid=client_key().kid),
    ),
    "typ of another token": ("jwt-type", CLIENT, _signing(typ="at+jwt")),
    # --- the claims
    "iss unknown": ("client-unknown", CLIENT, _claims(iss="nobody")),
    "iss missing": ("jwt-claim-missing", CLIENT, _claims(iss=None)),
    "sub is another": ("jwt-subject", CLIENT, _claims(sub="nobody")),
    "aud is the FHIR base": ("jwt-audience", CLIENT, _claims(aud=BASE)),
    "aud missing": ("jwt-claim-missing", CLIENT, _claims(aud=None)),
    "jti missing": ("jwt-claim-missing", CLIENT, _claims(jti=None)),
    "exp missing": ("jwt-claim-missing", CLIENT, _claims(exp=None)),
    "expired": ("jwt-expired", CLIENT, _claims(exp=seconds(NOW) - 1)),
    "exp too far ahead": ("jwt-lifetime", CLIENT, _claims(exp=seconds(NOW) + 361)),
    "lives too long": (
        "jwt-lifetime",
        CLIENT,
        _claims(iat=seconds(NOW) - 200, exp=seconds(NOW) + 200),
    ),
    "issued in the future": (
        "jwt-not-yet-valid",
        CLIENT,
        _claims(iat=seconds(NOW) + 120, exp=seconds(NOW) + 240),
    ),
    # --- scope
    "a user's scope": ("scope-none", SCOPE, _form(scope="user/Patient.rs")),
    "a scope that is not registered": ("scope-none", SCOPE, _form(scope="system/Goal.rs")),
    "a wildcard that is not ours": ("scope-wildcard", SCOPE, _form(scope="system/*.cruds")),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSALS)
async def test_a_token_request_is_refused_by_its_code_and_entered(smart, row):
    code, error, how = REFUSALS[row]
    client_id = smart.add(backend())
    if "hmac" in how:
        claims = smart.claims(client_id)
        header = {"alg": "HS256", "typ": "JWT", "kid": RSA.kid}
        text = world.part(header) + b"." + world.part(claims)
        token = text + b"." + world.part(hmac.digest(how["hmac"], text, "sha256"))
        response, body = await smart.post("token", data=smart.form(token))
    else:
        response, body = await smart.ask(
            client_id, how.get("form"), how.get("signing"), **how.get("claims", {})
        )
    assert response.status == (401 if error == CLIENT else 400)
    assert set(body) == {"error", "error_description"}
    assert body["error"] == error
    assert body["error_description"].endswith(f"[{code}]")
    leaf = smart.entries()[-1]
    assert (leaf["outcome"], leaf["reason"]) == ("declined", code)
    assert leaf["txn"] == ("UDAP-TOKEN" if code == "oauth-client-secret" else "SMART-TOKEN")
    with smart.engine.connect() as connection:
        assert connection.execute(select(ISSUED)).all() == []
    smart.shown()


async def test_an_app_gets_no_token_in_its_own_name(smart):
    given = app(public=False, jwks=jwks(client_key()))
    response, body = await smart.ask(smart.add(given))
    assert (response.status, body["error"]) == (400, "unauthorized_client")


# --- keys at an address ------------------------------------------------------------------------


def published(*keys, **headers):
    return Fetched(body=jwks(*keys).encode(), headers=headers)


async def test_keys_at_an_address_are_read_once_for_as_long_as_they_count(smart):
    client_id = smart.add(backend(jwks_uri=KEYS_AT))
    smart.published[KEYS_AT] = published(client_key(), **{"Cache-Control": "max-age=60"})
    for ahead in (0, 59):
        smart.clock.moment = NOW + timedelta(seconds=ahead)
        assert (await smart.ask(client_id))[0].status == 200
    assert smart.fetched == [KEYS_AT]
    smart.clock.moment = NOW + timedelta(seconds=61)
    assert (await smart.ask(client_id))[0].status == 200
    assert smart.fetched == [KEYS_AT] * 2


async def test_a_new_key_counts_at_once_and_an_old_one_no_more(smart):
    client_id = smart.add(backend(jwks_uri=KEYS_AT))
    smart.published[KEYS_AT] = published(client_key())
    assert (await smart.ask(client_id))[0].status == 200
    smart.published[KEYS_AT] = published(client_key("two"))
    smart.clock.moment = NOW + timedelta(seconds=PAUSE)
    assert (await smart.ask(client_id, signing={"key": client_key("two")}))[0].status == 200
    assert (await smart.ask(client_id))[1]["error"] == CLIENT


async def test_nobody_makes_the_node_ask_an_address_at_will(smart):
    client_id = smart.add(backend(jwks_uri=KEYS_AT))
    smart.published[KEYS_AT] = published(client_key())
    for number in range(5):
        await smart.ask(client_id, signing={"kid": f"made-up-{number}"})
    assert smart.fetched == [KEYS_AT]


async def test_keys_that_cannot_be_read_refuse_the_client(smart):
    client_id = smart.add(backend(jwks_uri=KEYS_AT))
    smart.published[KEYS_AT] = NetworkFault("fetch-failed", "It is away.")
    for _ in range(2):
        response, body = await smart.ask(client_id)
        assert (response.status, body["error"]) == (401, CLIENT)
        assert smart.entries()[-1]["reason"] == "client-keys-unavailable"
    assert smart.fetched == [KEYS_AT]


# --- discovery ---------------------------------------------------------------------------------


async def test_smart_configuration_says_what_is_so(smart):
    response, data = await smart.get(
        ".well-known/smart-configuration", headers={"accept": "application/fhir+xml"}
    )
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    found = orjson.loads(data)
    assert found["token_endpoint"] == f"{BASE}/token"
    assert found["introspection_endpoint"] == f"{BASE}/introspect"
    assert "client_credentials" in found["grant_types_supported"]
    assert {"RS384", "ES384"} <= set(found["token_endpoint_auth_signing_alg_values_supported"])
    assert found["code_challenge_methods_supported"] == ["S256"]


async def test_every_scope_of_systems_that_it_lists_can_be_registered_and_granted(smart):
    _, data = await smart.get(".well-known/smart-configuration")
    listed = [s for s in orjson.loads(data)["scopes_supported"] if s.startswith("system/")]
    assert len(listed) > 20
    client_id = smart.add(backend(scopes=tuple(listed)))
    _, body = await smart.ask(client_id, form={"scope": " ".join(listed)})
    assert body["scope"].split() == listed
    assert smart.server.store.client(LOCAL, "lab-feed").scope.split() == listed


async def test_a_backend_has_the_rights_of_its_roles_and_may_ask_for_audit_events(smart):
    scopes = ("system/AuditEvent.rs", "system/Patient.rs")
    smart.add(backend(name="siem", scopes=scopes, roles=("auditor",)))
    _, body = await smart.ask("id-of-siem", form={"scope": "system/AuditEvent.rs"})
    assert body["scope"] == "system/AuditEvent.rs"
    grants = TokenGrants(
        Guard(smart.server), smart.peers, smart.server.own, purpose_register().system
    )
    found = await grants.grant(body["access_token"])
    assert found.rights == role_table().roles["auditor"].rights
    smart.add(backend())
    _, body = await smart.ask(f"id-of-{NAME}")
    assert (await grants.grant(body["access_token"])).rights == frozenset()


def test_a_role_must_be_one_of_the_table_and_an_app_has_its_users():
    for given in (backend(roles=("king",)), app(roles=("auditor",))):
        with pytest.raises(SettingsError) as refused:
            given.client("x", organization_id="hill", before=None, now=NOW)
        assert refused.value.code == "app-invalid"
