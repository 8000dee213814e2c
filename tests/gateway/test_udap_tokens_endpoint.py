"""Token requests of UDAP clients over HTTP, by rule (fhir-and-udap 1.5, 1.6; tefca 8)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from node.gateway.oauth.guard import Guard
from node.gateway.oauth.server import ConsentRule
from node.ledger.audit import Site, audit_event
from node.storage.oauth_tables import ISSUED
from node.wire.atna import write_audit_messages
from node.wire.balp import write_audit_events
from tests import udap_world as world
from tests.oauth_world import BASE, OauthWorld
from tests.udap_world import NOW, SYSTEM, seconds
from trust.revocation_policy import RevocationDecision, RevocationPolicy, Unknown

POLICY = "urn:oid:2.999.40"


@pytest.fixture
async def oauth(tmp_path):
    async with OauthWorld(tmp_path).running() as made:
        yield made


async def test_client_credentials_give_a_bearer_token_of_an_hour(oauth):
    client_id = await oauth.registered(scope="system/Patient.rs system/Goal.rs")
    response, body = await oauth.ask(
        client_id, form={"scope": "system/Patient.cruds system/Goal.r user/Goal.rs"}
    )
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    assert body["scope"] == "system/Patient.rs system/Goal.r"


async def test_a_token_is_in_the_log_with_who_asked_and_what_was_granted(oauth):
    client_id = await oauth.registered()
    await oauth.ask(client_id)
    leaf = oauth.entries()[-1]
    assert (leaf["txn"], leaf["outcome"], leaf["purpose"]) == ("UDAP-TOKEN", "ok", world.PURPOSE)
    assert (leaf["peer"], leaf["org"], leaf["bind"]) == (world.HCID, "lake", "anchor+name")
    shown = oauth.shown()
    assert shown.groups["who"].value["subject_id"] == "Ida Sample, MD"
    assert shown.groups["query"].value["granted"] == "system/Patient.rs"


async def test_both_forms_of_audit_records_can_be_made_of_its_entries(oauth):
    await oauth.ask(await oauth.registered())
    await oauth.ask("nobody")
    site = Site(name="Hill Clinic", home_community_id="urn:oid:2.999.2")
    for number in range(3):
        shown = oauth.shown(number)
        groups = {name: each.value for name, each in shown.groups.items()}
        event = audit_event(shown.entry.data, shown.entry.fields, groups, site)
        assert b"UDAP" in b"".join(write_audit_messages(event))
        assert b"UDAP" in b"".join(write_audit_events(event))


async def test_no_token_is_kept_but_its_digest(oauth):
    token = await oauth.token()
    with oauth.engine.connect() as connection:
        (row,) = connection.execute(select(ISSUED)).mappings()
    assert row["digest"] == hashlib.sha256(token.encode()).digest()
    assert token not in str(dict(row))
    assert token.encode() not in oauth.shown().groups["query"].data


async def test_a_token_ends_after_its_hour(oauth):
    token = await oauth.token()
    guard = Guard(oauth.server)
    oauth.clock.moment = NOW + timedelta(seconds=3599)
    assert guard.access(f"Bearer {token}").allows("Patient", "r") == ()
    oauth.clock.moment = NOW + timedelta(seconds=3600)
    assert guard.access(f"Bearer {token}") is None


def test_no_server_gives_tokens_of_more_than_an_hour(tmp_path):
    made = OauthWorld(tmp_path)
    with pytest.raises(ValueError, match="60 minutes"):
        replace(made.server, token_life=timedelta(minutes=61))
    made.ledger.close()
    made.engine.dispose()


async def test_a_token_of_a_suspended_organisation_counts_no_more(oauth):
    token = await oauth.token()
    guard = Guard(oauth.server)
    assert guard.access(f"bearer {token}") is not None
    oauth.peers.change("lake", suspended=True)
    assert guard.access(f"Bearer {token}") is None


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer \xff", "x" * 999]
)
async def test_other_authorization_headers_open_nothing(oauth, header):
    await oauth.token()
    assert Guard(oauth.server).access(header) is None


async def test_a_token_for_an_organisation_below_the_clients(oauth):
    client_id = await oauth.registered()
    response, _ = await oauth.ask(client_id, world.b2b(organization_id="Organization/lake-clinic"))
    assert response.status == 200
    assert oauth.entries()[-1]["org"] == "lake-clinic"


async def test_an_authentication_token_is_used_once(oauth):
    client_id = await oauth.registered()
    form = oauth.form(world.signed(oauth.assertion(client_id)))
    assert (await oauth.post("token", data=form))[0].status == 200
    response, body = await oauth.post("token", data=form)
    assert (response.status, body["error"]) == (401, "invalid_client")
    assert oauth.entries()[-1]["reason"] == "jwt-replayed"


async def test_a_restart_does_not_forget_what_was_used(oauth, tmp_path):
    client_id = await oauth.registered()
    form = oauth.form(world.signed(oauth.assertion(client_id)))
    await oauth.post("token", data=form)
    # another process over the same database
    again = replace(oauth.server, store=type(oauth.server.store)(oauth.engine))
    assert again.store.client_by_id(client_id) is not None
    object.__setattr__(oauth.server, "store", again.store)
    response, _ = await oauth.post("token", data=form)
    assert response.status == 401


CLIENT, GRANT, REQUEST, SCOPE, UNAUTHORIZED = (
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
)


def _b2b(**changes):
    return {"b2b": world.b2b(**changes)}


def _form(**changes):
    return {"form": changes}


def _claims(**changes):
    return {"claims": changes}


ORGANISATION = f"urn:oid:{SYSTEM}#"
REFUSALS = {
    # --- the request
    "grant_type missing": ("oauth-parameter-missing", REQUEST, _form(grant_type=None)),
    "scope missing": ("oauth-parameter-missing", REQUEST, _form(scope=None)),
    "scope without value": ("oauth-parameter-missing", REQUEST, _form(scope="")),
    "client_assertion missing": ("oauth-parameter-missing", REQUEST, _form(client_assertion=None)),
    "client_assertion_type missing": (
        "oauth-parameter-missing",
        REQUEST,
        _form(client_assertion_type=None),
    ),
    "udap of another version": ("oauth-version", REQUEST, _form(udap="2")),
    "client_secret beside it": ("oauth-client-secret", REQUEST, _form(client_secret="x")),
    "another grant": (
        "oauth-grant-type",
        "unsupported_grant_type",
        _form(grant_type="password"),
    ),
    "a code, by a client that registered for none": (
        "client-kind",
        UNAUTHORIZED,
        _form(grant_type="authorization_code"),
    ),
    "refresh_token, by such a client": (
        "client-kind",
        UNAUTHORIZED,
        _form(grant_type="refresh_token"),
    ),
    # an example of the guide itself has it (1.5)
    "the guide's wrong assertion type": (
        "oauth-assertion-type",
        CLIENT,
        _form(client_assertion_type="urn:ietf:params:oauth:grant-type:jwt-bearer"),
    ),
    # --- the client
    "no token": ("jwt-malformed", CLIENT, _form(client_assertion="x")),
    "signed with another key": (
        "jwt-signature",
        CLIENT,
        {"signing": {"signer": world.key("Thief")}},
    ),
    "chain not trusted": (
        "chain-incomplete",
        CLIENT,
        {"signing": {"certificates": [world.client()]}},
    ),
    "another client's certificate": (
        "client-certificate",
        CLIENT,
        {
            "signing": {
                "certificates": [
                    world.client(uri="urn:oid:2.999.3#T-TRTMNT"),
                    world.intermediate(),
                ]
            }
        },
    ),
    "client_id unknown": ("client-unknown", CLIENT, _claims(iss="nobody", sub="nobody")),
    "sub is another": ("jwt-subject", CLIENT, _claims(sub="nobody")),
    "aud is the registration endpoint": ("jwt-audience", CLIENT, _claims(aud=f"{BASE}/register")),
    "exp missing": ("jwt-claim-missing", CLIENT, _claims(exp=None)),
    "jti missing": ("jwt-claim-missing", CLIENT, _claims(jti=None)),
    "lives too long": ("jwt-lifetime", CLIENT, _claims(exp=seconds(NOW) + 301)),
    "expired": ("jwt-expired", CLIENT, _claims(iat=seconds(NOW) - 400, exp=seconds(NOW) - 100)),
    # --- the extension objects
    "extensions missing": ("jwt-claim-missing", CLIENT, _claims(extensions=None)),
    "extensions as text": ("jwt-claim-form", CLIENT, _claims(extensions='{"hl7-b2b":{}}')),
    "hl7-b2b missing": ("b2b-missing", GRANT, _claims(extensions={})),
    "b2b version missing": ("b2b-field", GRANT, _b2b(version=None)),
    "b2b version a number": ("b2b-field", GRANT, _b2b(version=1)),
    "organization_id missing": ("b2b-field", GRANT, _b2b(organization_id=None)),
    "organization_id an HCID": ("b2b-field", GRANT, _b2b(organization_id=world.HCID)),
    "organization_name missing": ("b2b-field", GRANT, _b2b(organization_name=None)),
    "a person without name": ("b2b-field", GRANT, _b2b(subject_name=None)),
    "purpose_of_use missing": ("b2b-purpose", GRANT, _b2b(purpose_of_use=None)),
    "purpose_of_use empty": ("b2b-purpose", GRANT, _b2b(purpose_of_use=[])),
    "purpose_of_use as text": (
        "b2b-purpose",
        GRANT,
        _b2b(purpose_of_use=f"{ORGANISATION}T-TRTMNT"),
    ),
    "two purposes": (
        "b2b-purpose",
        GRANT,
        _b2b(purpose_of_use=[f"{ORGANISATION}T-TRTMNT", f"{ORGANISATION}T-HCO"]),
    ),
    "purpose of another code system": (
        "b2b-purpose",
        GRANT,
        _b2b(purpose_of_use=["urn:oid:2.16.840.1.113883.5.8#TREAT"]),
    ),
    "purpose without code system": ("b2b-purpose", GRANT, _b2b(purpose_of_use=["T-TRTMNT"])),
    "a retired purpose": ("b2b-purpose", GRANT, _b2b(purpose_of_use=[f"{ORGANISATION}T-HCO-QM"])),
    "another purpose than registered": (
        "b2b-other-purpose",
        GRANT,
        _b2b(purpose_of_use=[f"{ORGANISATION}T-HCO"]),
    ),
    "another organisation": (
        "b2b-other-organization",
        GRANT,
        _b2b(organization_id="Organization/elsewhere"),
    ),
    "an organisation nobody knows": (
        "b2b-other-organization",
        GRANT,
        _b2b(organization_id="Organization/nowhere"),
    ),
    "consent_reference without consent_policy": (
        "b2b-field",
        GRANT,
        _b2b(consent_reference=["https://lake.example/fhir/Consent/1"]),
    ),
    "consent_reference not absolute": (
        "b2b-field",
        GRANT,
        _b2b(consent_policy=[POLICY], consent_reference=["Consent/1"]),
    ),
    # --- scope
    "scopes of which none is ours": ("scope-none", SCOPE, _form(scope="user/Patient.rs")),
    "scopes that were not registered": ("scope-none", SCOPE, _form(scope="system/Goal.rs")),
    "a wildcard that is not ours": ("scope-wildcard", SCOPE, _form(scope="system/*.cruds")),
    # --- policy
    "organisation suspended": (
        "peer-suspended",
        UNAUTHORIZED,
        {"before": lambda o: o.peers.change("lake", suspended=True)},
    ),
    "asking organisation suspended": (
        "peer-suspended",
        UNAUTHORIZED,
        {
            **_b2b(organization_id="Organization/lake-clinic"),
            "before": lambda o: o.peers.change("lake-clinic", suspended=True),
        },
    ),
    "purpose not listed any more": (
        "purpose-not-listed",
        UNAUTHORIZED,
        {"before": lambda o: o.peers.change("lake", initiates=frozenset())},
    ),
    "purpose not answered any more": (
        "purpose-not-answered",
        UNAUTHORIZED,
        {"before": lambda o: setattr(o, "responds", frozenset())},
    ),
    "organisation gone": (
        "client-organization",
        CLIENT,
        {"before": lambda o: o.peers.entries.pop("lake")},
    ),
}


@pytest.mark.parametrize("row", REFUSALS)
async def test_a_token_request_is_refused_by_its_code_and_entered(oauth, row):
    code, error, how = REFUSALS[row]
    client_id = await oauth.registered()
    how.get("before", lambda _: None)(oauth)
    response, body = await oauth.ask(
        client_id, how.get("b2b"), how.get("form"), how.get("signing"), **how.get("claims", {})
    )
    assert response.status == (401 if error == CLIENT else 400)
    assert set(body) == {"error", "error_description"}
    assert body["error"] == error
    assert body["error_description"].endswith(f"[{code}]")
    assert response.headers["cache-control"] == "no-store"
    leaf = oauth.entries()[-1]
    assert (leaf["txn"], leaf["outcome"], leaf["reason"]) == ("UDAP-TOKEN", "declined", code)
    with oauth.engine.connect() as connection:
        assert connection.execute(select(ISSUED)).all() == []
    oauth.shown()


def test_every_error_code_of_the_facts_has_a_case():
    """Facts 1.5: the five codes of RFC 6749 that they name, and unsupported_grant_type."""
    seen = {error for _, error, _ in REFUSALS.values()}
    assert seen == {CLIENT, GRANT, REQUEST, SCOPE, UNAUTHORIZED, "unsupported_grant_type"}


async def test_a_secret_in_the_authorization_header_is_refused(oauth):
    form = oauth.form(world.signed(oauth.assertion(await oauth.registered())))
    response, body = await oauth.post("token", data=form, headers={"authorization": "Basic YTpi"})
    assert (response.status, body["error"]) == (400, REQUEST)


async def test_a_parameter_sent_twice_is_refused(oauth):
    form = oauth.form(world.signed(oauth.assertion(await oauth.registered())))
    response, body = await oauth.post("token", data=[*form.items(), ("scope", "system/*.rs")])
    assert (response.status, body["error"]) == (400, REQUEST)


async def test_a_form_as_json_is_refused(oauth):
    response, body = await oauth.post("token", json={"grant_type": "client_credentials"})
    assert (response.status, body["error"]) == (415, REQUEST)


async def test_a_consent_policy_that_is_wanted_is_named_in_the_error(oauth):
    """The B2B error extension: consent_required, and consent_form where there is one."""
    rule = ConsentRule(policies=(POLICY,), form="https://hill.example/consent")
    object.__setattr__(oauth.server, "consent", {world.PURPOSE: rule})
    client_id = await oauth.registered()
    response, body = await oauth.ask(client_id)
    assert (response.status, body["error"]) == (400, GRANT)
    assert body["extensions"] == {
        "hl7-b2b": {"consent_required": [POLICY], "consent_form": "https://hill.example/consent"}
    }
    given = world.b2b(
        consent_policy=[POLICY], consent_reference=["https://lake.example/fhir/Consent/1"]
    )
    response, _ = await oauth.ask(client_id, given)
    assert response.status == 200


async def test_a_revoked_certificate_gets_no_token(oauth):
    client_id = await oauth.registered()

    class Revoked:
        def generation(self):
            return 1

        def issuers(self, _certificate):
            return ()

        def judge(self, path, *, now):
            return RevocationDecision(
                ok=False,
                reason_code="certificate-revoked",
                sentence="A certificate of the chain was revoked.",
                policy=RevocationPolicy.REQUIRE_CRL,
                unknown=Unknown.HARD,
            )

    oauth.knowledge = replace(oauth.knowledge, revocations=Revoked())
    response, body = await oauth.ask(client_id)
    assert (response.status, body["error"]) == (401, CLIENT)
    assert oauth.entries()[-1]["reason"] == "certificate-revoked"


async def test_nothing_is_granted_when_the_log_cannot_be_written(oauth):
    client_id = await oauth.registered()
    oauth.ledger.close()
    form = oauth.form(world.signed(oauth.assertion(client_id)))
    response = await oauth.session.post("/fhir/token", data=form)
    assert response.status == 500
    assert b"access_token" not in await response.read()
    with oauth.engine.connect() as connection:
        assert connection.execute(select(ISSUED)).all() == []


# --- individual access --------------------------------------------------------------------------

IAS_URI = f"{world.HCID}#T-IAS"


@pytest.fixture
async def individual(oauth):
    oauth.peers.change("lake", initiates=frozenset({"T-IAS"}))
    certificates = [world.client(uri=IAS_URI), world.intermediate()]
    statement = world.signed(oauth.statement(iss=IAS_URI, sub=IAS_URI), certificates=certificates)
    certification = world.signed(
        oauth.certification(iss=IAS_URI, sub=IAS_URI, exchange_purposes=["T-IAS"]),
        certificates=certificates,
    )
    _, body = await oauth.register(statement, [certification])

    async def ask(**extensions):
        b2b = world.b2b(purpose_of_use=[f"{ORGANISATION}T-IAS"])
        return await oauth.ask(
            body["client_id"],
            signing={"certificates": certificates},
            extensions={"hl7-b2b": b2b, **extensions},
        )

    return ask


def _ias(**changes):
    found = {
        "version": "1",
        "purpose_of_use": "T-IAS",
        "user_information": {"resourceType": "RelatedPerson", "name": [{"family": "Zebulon"}]},
        "patient_information": {"resourceType": "Patient", "name": [{"family": "Zebulon"}]},
        "id_token": "a.b.c",
    } | changes
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("code", "extensions"),
    [
        ("ias-missing", {}),
        ("ias-field", {"tefca_ias": _ias(version=None)}),
        ("ias-field", {"tefca_ias": _ias(purpose_of_use=["T-IAS"])}),
        ("ias-field", {"tefca_ias": _ias(id_token=None)}),
        ("ias-field", {"tefca_ias": _ias(patient_information={"resourceType": "Person"})}),
        ("ias-field", {"tefca_ias": _ias(user_information=None)}),
        ("ias-unverified", {"tefca_ias": _ias()}),
        ("ias-unverified", {"tefca-ias": _ias()}),
    ],
)
async def test_individual_access_gets_nothing_without_a_verified_identity(
    oauth, individual, code, extensions
):
    response, body = await individual(**extensions)
    assert (response.status, body["error"]) == (400, GRANT)
    leaf = oauth.entries()[-1]
    assert leaf["reason"] == code
    assert ("ias-key-hyphen" in leaf.get("dev", "")) == ("tefca-ias" in extensions)
    # whoever the person is stands neither in the leaf nor in the answer
    assert "Zebulon" not in str(leaf) + str(body)


# --- introspection (RFC 7662; fhir-and-udap 2.5) -------------------------------------------------


async def test_introspection_tells_what_a_token_allows(oauth):
    token = await oauth.token()
    response, body = await oauth.post(
        "introspect", data={"token": token}, headers={"authorization": f"Bearer {token}"}
    )
    assert response.status == 200
    assert body["active"] is True
    assert body["scope"] == "system/Patient.rs"
    assert body["exp"] == seconds(NOW) + 3600
    assert body["purpose_of_use"] == world.PURPOSE
    assert body["organization_id"] == "Organization/lake"


async def test_of_a_token_that_does_not_count_only_that_is_told(oauth):
    token = await oauth.token()
    for other in ("", "x", "a" * 9999):
        _, body = await oauth.post(
            "introspect", data={"token": other}, headers={"authorization": f"Bearer {token}"}
        )
        assert body == {"active": False}


async def test_introspection_wants_a_token_of_the_caller(oauth):
    token = await oauth.token()
    response, body = await oauth.post("introspect", data={"token": token})
    assert (response.status, body) == (401, {"error": "invalid_token"})
    assert response.headers["www-authenticate"].startswith("Bearer ")
