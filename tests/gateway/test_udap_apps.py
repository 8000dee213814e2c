"""Peers' apps, by UDAP's authorization_code: registered, approved, judged (1.4, 1.5)."""

from __future__ import annotations

import pytest

from node.gateway.oauth.grants import TokenGrants
from node.gateway.oauth.guard import Guard
from node.policy.purposes import purpose_register
from tests import udap_world as world
from tests.smart_world import VERIFIER, PeopleWorld
from tests.udap_world import seconds

BACK = "https://lake.example/back"
SCOPE = "launch/patient openid offline_access patient/Patient.rs"
APP = {
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "redirect_uris": [BACK],
    "logo_uri": "https://lake.example/logo.png",
    "scope": SCOPE,
}


class UdapApps(PeopleWorld):
    """A peer with an app, and people of ours."""

    async def opened_at(self, client_id, **changes):
        """What the app was told when a person opened it on Ann."""
        async with self.browser() as person:
            await person.ask(self.asked(client_id, redirect_uri=None, aud=None, scope=SCOPE,
                                        **changes))  # fmt: skip
            await person.sign_in()
            page = person.text
            await person.choose("ann")
            await person.do("approve")
            return person.said | {"page": page}

    async def trade(self, client_id, signing=None, claims=None, **changes):
        now = seconds(self.clock.moment)
        given = {"iss": client_id, "sub": client_id, "aud": self.server.addresses.token,
                 "iat": now, "exp": now + 300, "jti": self.jti()} | (claims or {})  # fmt: skip
        token = world.signed(given, **(signing or {}))
        form = {"grant_type": "authorization_code", "code_verifier": VERIFIER, "udap": "1",
                "scope": None} | changes  # fmt: skip
        return await self.post("token", data=self.form(token, **form))


@pytest.fixture
async def oauth(tmp_path):
    async with UdapApps(tmp_path).running() as made:
        yield made


async def grant_of(oauth, token):
    system = purpose_register().system
    return await TokenGrants(Guard(oauth.server), oauth.peers, oauth.server.own, system).grant(
        token
    )


async def test_an_app_of_a_peer_is_registered_with_what_it_said(oauth):
    response, body = await oauth.register(oauth.statement(**APP))
    assert response.status == 201
    for name in ("grant_types", "response_types", "redirect_uris", "logo_uri"):
        assert body[name] == APP[name]
    assert body["scope"] == SCOPE


async def test_without_refresh_token_it_is_registered_for_no_longer_access(oauth):
    given = APP | {"grant_types": ["authorization_code"]}
    _, body = await oauth.register(oauth.statement(**given))
    assert "offline_access" not in body["scope"].split()


async def test_nobody_approves_an_app_for_individual_access(oauth):
    uri = f"{world.HCID}#T-IAS"
    leaf = world.client(uri=uri)
    statement = world.signed(
        oauth.statement(iss=uri, sub=uri, **APP), certificates=[leaf, world.intermediate()]
    )
    certification = world.signed(
        oauth.certification(iss=uri, sub=uri, exchange_purposes=["T-IAS"]),
        certificates=[leaf, world.intermediate()],
    )
    oauth.peers.change("lake", initiates=frozenset({"T-IAS"}))
    _, body = await oauth.register(statement, [certification])
    assert body["error"] == "invalid_client_metadata"
    assert oauth.entries()[-1]["reason"] == "oauth-grant-type"


async def test_a_person_opens_a_peers_app_and_it_sees_that_patient_alone(oauth):
    client_id = await oauth.registered(**APP)
    said = await oauth.opened_at(client_id)
    assert "Lake Hospital" in said["page"]
    response, body = await oauth.trade(client_id, code=said["code"])
    assert response.status == 200, body
    assert body["expires_in"] <= 3600
    assert body["patient"] == "ann"
    assert "id_token" in body
    found = await grant_of(oauth, body["access_token"])
    assert (found.patient, found.entry.organization_id) == ("ann", "lake")
    assert found.principal is None
    assert found.rights == frozenset()
    steps = [(e["txn"], e["outcome"], e["org"]) for e in oauth.entries()]
    assert steps == [("UDAP-REG", "ok", "lake"), ("SMART-APPROVAL", "ok", "lake"),
                     ("UDAP-TOKEN", "ok", "lake")]  # fmt: skip
    assert oauth.shown(1).groups["who"].value["user_id"] == "ida"


async def test_its_refresh_token_is_exchanged_once_with_its_certificate(oauth):
    client_id = await oauth.registered(**APP)
    said = await oauth.opened_at(client_id)
    _, first = await oauth.trade(client_id, code=said["code"])
    given = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    response, second = await oauth.trade(client_id, **given)
    assert response.status == 200
    response, body = await oauth.trade(client_id, **given)
    assert (response.status, body["error"]) == (400, "invalid_grant")
    assert await grant_of(oauth, second["access_token"]) is None


async def test_without_udap_a_code_of_a_peers_app_is_worth_nothing(oauth):
    client_id = await oauth.registered(**APP)
    said = await oauth.opened_at(client_id)
    response, body = await oauth.exchange(client_id, said["code"])
    assert (response.status, body["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("code", "how"),
    [("jwt-signature", {"signing": {"signer": world.key("Thief")}}),
     ("jwt-audience", {"claims": {"aud": "https://elsewhere.example/token"}}),
     ("ticket-not-fitting", {"code_verifier": "w" * 43}),
     ("ticket-not-fitting", {"redirect_uri": BACK}),
     ("client-kind", {"grant_type": "client_credentials", "scope": "system/Patient.rs"})],
)  # fmt: skip
async def test_a_code_is_refused_by_its_code_and_entered(oauth, code, how):
    client_id = await oauth.registered(**APP)
    said = await oauth.opened_at(client_id)
    await oauth.trade(client_id, **({"code": said["code"]} | how))
    leaf = oauth.entries()[-1]
    assert (leaf["txn"], leaf["outcome"], leaf["reason"]) == ("UDAP-TOKEN", "declined", code)


async def test_an_app_of_a_suspended_organisation_is_not_opened_and_its_tokens_end(oauth):
    client_id = await oauth.registered(**APP)
    said = await oauth.opened_at(client_id)
    _, body = await oauth.trade(client_id, code=said["code"])
    oauth.peers.change("lake", suspended=True)
    assert await grant_of(oauth, body["access_token"]) is None
    async with oauth.browser() as person:
        await person.ask(oauth.asked(client_id, redirect_uri=BACK, aud=None))
        assert person.said is None
        assert "peer-suspended" in person.text


async def test_a_system_of_a_peer_is_opened_by_nobody(oauth):
    client_id = await oauth.registered()
    async with oauth.browser() as person:
        await person.ask(oauth.asked(client_id))
        assert person.said is None
        assert "client-kind" in person.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"state": None}, "invalid_request"), ({"code_challenge": None}, "invalid_request"),
     ({"aud": "https://hill.example/fhir/network"}, "invalid_request"),
     ({"scope": "system/Patient.rs"}, "invalid_scope"),
     ({"response_type": "token"}, "unsupported_response_type")],
)  # fmt: skip
async def test_state_and_pkce_are_demanded_of_peers_apps_too(oauth, changes, error):
    client_id = await oauth.registered(**APP)
    async with oauth.browser() as person:
        await person.ask(oauth.asked(client_id, **({"redirect_uri": BACK, "aud": None} | changes)))
    assert person.said["error"] == error
