"""Dynamic client registration over HTTP, each rule and each refusal (facts: fhir-and-udap 1.4)."""

from __future__ import annotations

import pytest

from node.gateway.oauth.patience import Patience
from tests import udap_world as world
from tests.oauth_world import OauthWorld
from tests.udap_world import CLIENT_URI, NOW, seconds
from trust.binding import OrganizationTrust


@pytest.fixture
async def oauth(tmp_path):
    async with OauthWorld(tmp_path).running() as made:
        yield made


async def test_a_new_client_gets_201_and_the_parameters_as_registered(oauth):
    statement = world.signed(oauth.statement(scope="system/Patient.cruds system/Basic.rs openid"))
    response, body = await oauth.register(statement)
    assert response.status == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert body == {
        "client_id": body["client_id"],
        "software_statement": statement.decode(),
        "client_name": "Lake Hospital",
        "contacts": ["mailto:fhir@lake.example"],
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": "system/Patient.rs",
    }


async def test_a_registration_is_in_the_log_with_its_evidence_before_it_is_answered(oauth):
    _, body = await oauth.register()
    (leaf,) = oauth.entries()
    assert leaf["kind"] == "exchange"
    assert (leaf["txn"], leaf["dir"], leaf["outcome"]) == ("UDAP-REG", "responding", "ok")
    assert (leaf["peer"], leaf["org"], leaf["purpose"]) == (world.HCID, "lake", world.PURPOSE)
    assert leaf["bind"] == "anchor+name"
    assert leaf["pol"].startswith("in-1-asker-status,")
    shown = oauth.shown()
    assert shown.decision["chains"][0]["role"] == "jwt-signer"
    asked = shown.groups["query"].value
    assert asked["client_id"] == body["client_id"]
    assert (asked["asked"], asked["granted"]) == ("system/Patient.rs", "system/Patient.rs")
    assert asked["community"] == world.COMMUNITY
    assert len(asked["certification"]["sha256"]) == 64
    assert set(shown.groups["wire"].value) >= {"request", "response", "assertion_id"}


async def test_registering_again_replaces_everything_and_keeps_the_client_id(oauth):
    _, first = await oauth.register(oauth.statement(scope="system/Patient.rs system/Goal.rs"))
    response, second = await oauth.register(
        oauth.statement(client_name="Lake 2", scope="system/Goal.rs")
    )
    assert response.status == 200
    assert second["client_id"] == first["client_id"]
    assert (second["client_name"], second["scope"]) == ("Lake 2", "system/Goal.rs")
    _, refused = await oauth.ask(first["client_id"])
    assert refused["error"] == "invalid_scope"


async def test_a_change_ends_the_tokens_that_were_given_before(oauth):
    token = await oauth.token()
    await oauth.registered(scope="system/Goal.rs")
    response, _ = await oauth.post(
        "introspect", data={"token": token}, headers={"authorization": f"Bearer {token}"}
    )
    assert response.status == 401


async def test_an_empty_grant_types_cancels_with_200_and_the_client_is_refused(oauth):
    client_id = await oauth.registered()
    response, body = await oauth.register(oauth.statement(grant_types=[]), certifications=[])
    assert response.status == 200
    assert body["grant_types"] == []
    assert body["client_id"] == client_id
    response, body = await oauth.ask(client_id)
    assert (response.status, body["error"]) == (401, "invalid_client")
    assert oauth.entries()[-1]["reason"] == "client-cancelled"
    response, again = await oauth.register()
    assert (response.status, again["client_id"]) == (201, client_id)


async def test_a_cancellation_without_registration_is_refused(oauth):
    response, body = await oauth.register(oauth.statement(grant_types=[]))
    assert response.status == 400
    assert body["error"] == "unapproved_software_statement"


async def test_the_same_uri_in_another_community_is_another_client(oauth):
    first = await oauth.registered()
    other_root = world.certificate("Other root", ca=True)
    other = world.certificate("Client", "Other root", uris=(CLIENT_URI,))
    oauth.knowledge = world.SignerKnowledge(
        communities=(
            *world.knowledge().communities,
            *world.knowledge(other_root, uri="urn:oid:2.999.6").communities,
        )
    )

    def signed(claims):
        return world.signed(claims, certificates=[other])

    response, body = await oauth.register(
        signed(oauth.statement()), [signed(oauth.certification())]
    )
    assert response.status == 201
    assert body["client_id"] != first
    # cancelled there, alive here
    response, _ = await oauth.register(signed(oauth.statement(grant_types=[])), [])
    assert response.status == 200
    response, _ = await oauth.ask(first)
    assert response.status == 200
    # and nobody speaks for a client with a certificate of another community
    response, body = await oauth.ask(first, signing={"certificates": [other]})
    assert (response.status, body["error"]) == (401, "invalid_client")


async def test_a_certificate_that_was_renewed_goes_on_with_its_client(oauth):
    client_id = await oauth.registered()
    renewed = world.client(ends=NOW + 400 * world.DAY)
    signing = {"certificates": [renewed, world.intermediate()]}
    response, _ = await oauth.ask(client_id, signing=signing)
    assert response.status == 200


async def test_a_statement_is_used_once(oauth):
    statement = world.signed(oauth.statement())
    assert (await oauth.register(statement))[0].status == 201
    response, body = await oauth.register(statement)
    assert (response.status, body["error"]) == (400, "invalid_software_statement")
    assert oauth.entries()[-1]["reason"] == "jwt-replayed"


async def test_a_jti_may_come_again_after_its_first_token_expired(oauth):
    await oauth.registered(jti="same")
    oauth.clock.moment = NOW + 299 * world.DAY / world.DAY.total_seconds()
    assert (await oauth.register(oauth.statement(jti="same")))[0].status == 400
    oauth.clock.moment = NOW + 300 * world.DAY / world.DAY.total_seconds()
    assert (await oauth.register(oauth.statement(jti="same")))[0].status == 200


async def test_a_refused_statement_does_not_use_up_the_jti_of_an_honest_one(oauth):
    forged = world.signed(oauth.statement(jti="mine"), signer=world.key("Thief"))
    assert (await oauth.register(forged))[0].status == 400
    assert (await oauth.register(oauth.statement(jti="mine")))[0].status == 201


def _other_purpose():
    uri = f"{world.HCID}#T-HCO"
    return {
        "statement": lambda o: world.signed(
            o.statement(iss=uri, sub=uri),
            certificates=[world.client(uri=uri), world.intermediate()],
        )
    }


def _uri(uri):
    return {
        "statement": lambda o: world.signed(
            o.statement(iss=uri, sub=uri),
            certificates=[world.client(uri=uri), world.intermediate()],
        )
    }


def _claims(**changes):
    return {"statement": lambda o: o.statement(**changes)}


def _certified(**changes):
    return {"certifications": lambda o: [world.signed(o.certification(**changes))]}


SOFTWARE, UNAPPROVED, METADATA = (
    "invalid_software_statement",
    "unapproved_software_statement",
    "invalid_client_metadata",
)
AUTHORIZATION_CODE = {
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
    "redirect_uris": ["https://lake.example/back"],
    "logo_uri": "https://lake.example/logo.png",
}
REFUSALS = {
    # --- malformed, bad signature, missing or failed claims
    "statement no token": ("jwt-malformed", SOFTWARE, {"statement": lambda _: b"hello"}),
    "signed with another key": (
        "jwt-signature",
        SOFTWARE,
        {"statement": lambda o: world.signed(o.statement(), signer=world.key("Thief"))},
    ),
    "x5c unreadable": (
        "jwt-certificates",
        SOFTWARE,
        {"statement": lambda o: world.signed(o.statement(), header={"x5c": ["AAAA"]})},
    ),
    "iss not in the SAN": ("jwt-issuer", SOFTWARE, _claims(iss="urn:oid:2.999.3#T-TRTMNT")),
    "sub is another": ("jwt-subject", SOFTWARE, _claims(sub="urn:oid:2.999.3#T-TRTMNT")),
    "aud is another": ("jwt-audience", SOFTWARE, _claims(aud="https://hill.example/fhir/token")),
    "exp missing": ("jwt-claim-missing", SOFTWARE, _claims(exp=None)),
    "iat missing": ("jwt-claim-missing", SOFTWARE, _claims(iat=None)),
    "jti missing": ("jwt-claim-missing", SOFTWARE, _claims(jti=None)),
    "expired": ("jwt-expired", SOFTWARE, _claims(iat=seconds(NOW) - 400, exp=seconds(NOW) - 100)),
    "lives too long": ("jwt-lifetime", SOFTWARE, _claims(exp=seconds(NOW) + 301)),
    "client_name missing": ("jwt-claim-missing", SOFTWARE, _claims(client_name=None)),
    "no purpose in the URI": ("client-purpose", SOFTWARE, _uri("urn:oid:2.999.1")),
    "two purposes in the URI": ("client-purpose", SOFTWARE, _uri("urn:oid:2.999.1#T-PH;T-HCO")),
    "software_statement missing": (
        "oauth-body-malformed",
        SOFTWARE,
        {"body": {"software_statement": None}},
    ),
    # --- not trusted, or its operator not approved
    "chain not trusted": (
        "chain-incomplete",
        UNAPPROVED,
        {"statement": lambda o: world.signed(o.statement(), certificates=[world.client()])},
    ),
    "certificate expired": (
        "certificate-expired",
        UNAPPROVED,
        {
            "statement": lambda o: world.signed(
                o.statement(),
                certificates=[world.client(ends=NOW - world.DAY), world.intermediate()],
            )
        },
    ),
    "certification missing": (
        "certification-missing",
        UNAPPROVED,
        {"certifications": lambda _: []},
    ),
    "certification of another kind": (
        "certification-missing",
        UNAPPROVED,
        _certified(certification_uris=["https://other.example"]),
    ),
    "certification for another purpose": (
        "certification-refused",
        UNAPPROVED,
        _certified(exchange_purposes=["T-HCO"]),
    ),
    "certification for two purposes": (
        "certification-refused",
        UNAPPROVED,
        _certified(exchange_purposes=[world.PURPOSE, "T-HCO"]),
    ),
    "certification without community": (
        "certification-refused",
        UNAPPROVED,
        _certified(home_community_id=None),
    ),
    "certification about another client": (
        "certification-refused",
        UNAPPROVED,
        _certified(sub="urn:oid:2.999.3#T-TRTMNT"),
    ),
    "certification of more than three years": (
        "certification-refused",
        UNAPPROVED,
        _certified(exp=seconds(NOW) + 1200 * 86400),
    ),
    "certification signed by nobody known": (
        "certification-refused",
        UNAPPROVED,
        {
            "certifications": lambda o: [
                world.signed(o.certification(), certificates=[world.client()])
            ]
        },
    ),
    "organisation not in the directory": (
        "client-organization",
        UNAPPROVED,
        _certified(home_community_id="urn:oid:2.999.77"),
    ),
    "organisation of somebody else": (
        "signer-not-bound",
        UNAPPROVED,
        _certified(home_community_id="urn:oid:2.999.9"),
    ),
    "organisation suspended": (
        "peer-suspended",
        UNAPPROVED,
        {"before": lambda o: o.peers.change("lake", suspended=True)},
    ),
    "organisation inactive": (
        "peer-inactive",
        UNAPPROVED,
        {"before": lambda o: o.peers.change("lake", active=False)},
    ),
    "purpose not listed for the organisation": (
        "purpose-not-listed",
        UNAPPROVED,
        {"before": lambda o: o.peers.change("lake", initiates=frozenset({"T-PYMNT"}))},
    ),
    "purpose that we do not answer": (
        "purpose-not-answered",
        UNAPPROVED,
        {"before": lambda o: setattr(o, "responds", frozenset())},
    ),
    "another key is pinned": (
        "signer-not-bound",
        UNAPPROVED,
        {
            "before": lambda o: o.peers.trust.update(
                lake=OrganizationTrust(organization_id="lake", pins=frozenset({"ab" * 32}))
            )
        },
    ),
    # --- metadata
    "udap missing": ("oauth-version", METADATA, {"body": {"udap": None}}),
    "contacts without mailto": (
        "client-metadata-invalid",
        METADATA,
        _claims(contacts=["https://lake.example"]),
    ),
    "two grants": (
        "client-metadata-invalid",
        METADATA,
        _claims(grant_types=["client_credentials", "authorization_code"]),
    ),
    "an unknown grant": ("client-metadata-invalid", METADATA, _claims(grant_types=["implicit"])),
    "refresh_token with client_credentials": (
        "client-metadata-invalid",
        METADATA,
        _claims(grant_types=["client_credentials", "refresh_token"]),
    ),
    "redirect_uris with client_credentials": (
        "client-metadata-invalid",
        METADATA,
        _claims(redirect_uris=["https://lake.example/back"]),
    ),
    "response_types with client_credentials": (
        "client-metadata-invalid",
        METADATA,
        _claims(response_types=["code"]),
    ),
    "client_secret_basic": (
        "client-metadata-invalid",
        METADATA,
        _claims(token_endpoint_auth_method="client_secret_basic"),
    ),
    "redirect_uris not https": (
        "client-metadata-invalid",
        METADATA,
        _claims(**{**AUTHORIZATION_CODE, "redirect_uris": ["http://lake.example/back"]}),
    ),
    **{
        f"redirect_uris {what}": (
            "client-metadata-invalid",
            METADATA,
            _claims(**{**AUTHORIZATION_CODE, "redirect_uris": [uri]}),
        )
        for what, uri in {
            "of a script": "javascript:alert(1)",
            "of a file": "file:///etc/passwd",
            "with a user name before the host": "https://lake.example@evil.example/back",
            "with a policy in the host": "https://a.example;frame-ancestors *;/back",
            "with a backslash": "https://evil.example\\@lake.example/back",
            "with a line break": "https://lake.example/back\r\nset-cookie: a=b",
            "with a blank": "https://lake.example /back",
            "with another alphabet": "https://l\u0430ke.example/back",
            "with a fragment": "https://lake.example/back#a",
            "without host": "https:///back",
            "with a bad port": "https://lake.example:99999/back",
        }.items()
    },
    "client_name that reads otherwise": (
        "client-metadata-invalid",
        METADATA,
        _claims(**{**AUTHORIZATION_CODE, "client_name": "Lake \u202egnp.exe"}),
    ),
    "logo of a script": (
        "client-metadata-invalid",
        METADATA,
        _claims(**{**AUTHORIZATION_CODE, "logo_uri": "javascript:alert(1)//a.png"}),
    ),
    "logo_uri missing": (
        "client-metadata-invalid",
        METADATA,
        _claims(**{**AUTHORIZATION_CODE, "logo_uri": None}),
    ),
    "logo of another kind": (
        "client-metadata-invalid",
        METADATA,
        _claims(**{**AUTHORIZATION_CODE, "logo_uri": "https://lake.example/logo.svg"}),
    ),
    "an app's scopes that are a system's": (
        "scope-none",
        METADATA,
        _claims(**AUTHORIZATION_CODE),
    ),
    "scopes of which none is ours": ("scope-none", METADATA, _claims(scope="user/Patient.rs")),
    "a wildcard that is not ours": ("scope-wildcard", METADATA, _claims(scope="system/*.cruds")),
}


@pytest.mark.parametrize("row", REFUSALS)
async def test_a_registration_is_refused_by_its_code_and_entered(oauth, row):
    code, error, how = REFUSALS[row]
    how.get("before", lambda _: None)(oauth)
    make = how.get("statement")
    certifications = how.get("certifications")
    response, body = await oauth.register(
        make(oauth) if make else None,
        certifications(oauth) if certifications else None,
        **how.get("body", {}),
    )
    assert response.status == 400
    assert set(body) == {"error", "error_description"}
    assert body["error"] == error
    assert body["error_description"].endswith(f"[{code}]")
    assert response.headers["cache-control"] == "no-store"
    (leaf,) = oauth.entries()
    assert (leaf["txn"], leaf["outcome"], leaf["reason"]) == ("UDAP-REG", "declined", code)
    assert oauth.server.store.clients() == []
    oauth.shown()


async def test_another_content_type_is_415(oauth):
    response, body = await oauth.post("register", data="software_statement=x")
    assert (response.status, body["error"]) == (415, "invalid_request")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"udap":"1","udap":"1"}', 400),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
        (b"\xff\xfe", 400),
        (b" " * (256 * 1024 + 1), 413),
    ],
)
async def test_a_body_that_is_no_registration_is_refused(oauth, data, status):
    headers = {"content-type": "application/json"}
    response, body = await oauth.post("register", data=data, headers=headers)
    assert response.status == status
    assert body["error"] in ("invalid_software_statement", "invalid_request")


async def test_strangers_cannot_fill_the_log(tmp_path):
    async with OauthWorld(tmp_path).running(Patience(each=3)) as oauth:
        statuses = []
        for _ in range(6):
            response, _ = await oauth.register(b"junk")
            statuses.append(response.status)
        assert statuses == [400, 400, 400, 429, 429, 429]
        assert response.headers["retry-after"] == "60"
        assert len(oauth.entries()) == 3
        # whoever proves a signer is heard all the same
        assert (await oauth.register())[0].status == 201
        oauth.clock.moment = NOW + world.DAY / 1440
        assert (await oauth.register(b"junk"))[0].status == 400


async def test_nothing_is_answered_when_the_log_cannot_be_written(oauth):
    client_id = await oauth.registered()
    oauth.ledger.close()
    response = await oauth.session.post(
        "/fhir/register", json=oauth.registration(oauth.statement(scope="system/Goal.rs"))
    )
    assert response.status == 500
    assert b"client_id" not in await response.read()
    # and the registration is as it was
    assert oauth.server.store.client_by_id(client_id).scope == "system/Patient.rs"


async def test_a_certification_of_somebody_else_of_the_community_counts(oauth):
    certifier = world.certificate("Certifier", "Intermediate", uris=("https://rce.example",))
    token = world.signed(
        oauth.certification(iss="https://rce.example"),
        certificates=[certifier, world.intermediate()],
        signer=world.key("Certifier"),
    )
    response, _ = await oauth.register(None, [world.signed({"x": 1}), token])
    assert response.status == 201


async def test_certifications_of_other_kinds_are_ignored_and_counted(oauth):
    other = world.signed(oauth.certification(certification_uris=["https://other.example"]))
    response, _ = await oauth.register(None, [other, world.signed(oauth.certification())])
    assert response.status == 201
    assert oauth.entries()[-1]["dev"] == "certification-ignored"


async def test_the_error_codes_of_the_facts_have_each_a_case():
    """Facts 1.4: the three codes of registration, each from more than one cause."""
    seen = {error for _, error, _ in REFUSALS.values()}
    assert seen == {SOFTWARE, UNAPPROVED, METADATA}
