"""SMART App Launch over HTTP: what a person does, and what the app gets (fhir-and-udap 2.3)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from node.gateway.oauth.grants import TokenGrants
from node.gateway.oauth.guard import Guard
from node.policy.purposes import purpose_register
from tests.oauth_world import BASE, OWN
from tests.smart_world import PeopleWorld, app, backend, client_key, jwks
from tests.udap_world import NOW

EVERYTHING = (
    "launch/patient openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"
)


@pytest.fixture
async def smart(tmp_path):
    async with PeopleWorld(tmp_path).running() as made:
        yield made


async def grant_of(smart, token):
    register = purpose_register()
    grants = TokenGrants(Guard(smart.server), smart.peers, smart.server.own, register.system)
    return await grants.grant(token)


async def test_a_person_opens_an_app_on_a_patient_and_it_gets_a_token_for_that_patient(smart):
    client_id = smart.add(app())
    async with smart.browser() as person:
        await person.ask(smart.asked(client_id))
        assert "Sign in" in person.text
        await person.sign_in()
        await person.choose("ann")
        assert "Ann Arden" in person.text
        assert "read and search observation records of this patient" in person.text
        await person.do("approve")
        said = person.said
    assert said["state"] == "a-state-that-nobody-guesses"
    assert said["iss"] == BASE
    response, body = await smart.exchange(client_id, said["code"])
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "patient",
                         "need_patient_banner"}  # fmt: skip
    assert (body["patient"], body["need_patient_banner"]) == ("ann", True)
    found = await grant_of(smart, body["access_token"])
    assert found.patient == "ann"
    assert found.principal.user_id == "ida"
    assert found.principal.subject_id == "Ida Sample, MD"
    assert found.principal.home_community_id == OWN
    assert found.entry.organization_id == "hill"


async def test_no_address_of_the_journey_says_anything_of_a_patient(smart):
    client_id = smart.add(app())
    async with smart.browser() as person:
        await person.ask(smart.asked(client_id))
        seen = [person.at]
        await person.sign_in()
        seen.append(person.at)
        await person.choose("ann")
        seen.append(person.at)
        await person.do("approve")
        seen.append(person.said["to"])
    assert not [each for each in seen if "ann" in each.lower() or "1980" in each]


async def test_what_a_person_approved_is_in_the_log_before_the_app_hears_of_it(smart):
    await smart.opened(smart.add(app()))
    steps = [(e["txn"], e["outcome"]) for e in smart.entries()]
    assert steps == [("SMART-APPROVAL", "ok"), ("SMART-TOKEN", "ok")]
    shown = smart.shown(0)
    assert shown.groups["who"].value["user_id"] == "ida"
    assert shown.groups["query"].value["patient"] == "ann"
    assert smart.shown(1).groups["who"].value["subject_id"] == "Ida Sample, MD"
    looked = [fact.private for fact in smart.facts if fact.act == "app-patient"]
    assert {"client": "growth-chart", "family": "Ard", "birth_date": "1980-01-02"} in looked


async def test_a_request_may_come_as_a_form(smart):
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app())), method="POST")
        await person.sign_in()
        await person.choose("bob")
        await person.do("approve")
    assert person.said["code"]


async def test_a_person_who_declines_opens_nothing(smart):
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app())))
        await person.sign_in()
        await person.do("decline")
    assert person.said["error"] == "access_denied"
    assert person.said["state"] == "a-state-that-nobody-guesses"
    assert smart.entries()[-1]["reason"] == "person-declined"


async def test_a_request_is_answered_once(smart):
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app())))
        await person.sign_in()
        await person.choose("ann")
        page, at = person.text, person.at
        await person.do("approve")
        person.text, person.at, person.said = page, at, None
        await person.do("approve")
    assert person.said is None
    assert person.status == 404


async def test_people_without_the_right_open_no_app(smart):
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app())))
        await person.sign_in("rob")
        assert person.status == 403
        await person.do("approve")
        assert person.status == 403
    assert person.said is None


async def test_a_form_of_another_session_approves_nothing(smart):
    client_id = smart.add(app())
    async with smart.browser() as person, smart.browser() as other:
        for each in (person, other):
            await each.ask(smart.asked(client_id))
            await each.sign_in()
        await person.choose("ann")
        person.text = other.text
        await person.do("approve")
        assert person.status == 400
        assert person.said is None


async def test_the_page_may_lead_to_the_app_and_nowhere_else(smart):
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app())))
        await person.sign_in()
        policy = person.headers["content-security-policy"]
    assert "form-action 'self' https://app.example;" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_an_id_token_says_who_the_person_is_by_a_published_key(smart):
    smart.accounts.set_practitioner("ida", "pr-1")
    body = await smart.opened(smart.add(app()), scope=EVERYTHING, nonce="n-1")
    assert body["scope"] == EVERYTHING
    response, data = await smart.get("jwks.json")
    assert response.headers["access-control-allow-origin"] == "*"
    keys = KeySet.import_key_set(json.loads(data))
    claims = jwt.decode(body["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["iss"] == BASE
    assert claims["aud"] == "id-of-growth-chart"
    assert (claims["sub"], claims["nonce"]) == ("ida", "n-1")
    assert claims["fhirUser"] == f"{BASE}/Practitioner/pr-1"
    assert claims["exp"] - claims["iat"] == 300


async def test_fhir_user_is_granted_to_people_who_are_practitioners_alone(smart):
    body = await smart.opened(smart.add(app()), scope=EVERYTHING)
    assert "fhirUser" not in body["scope"].split()
    assert "openid" in body["scope"].split()


# --- refresh ------------------------------------------------------------------------------------


async def refresh(smart, client_id, token, **changes):
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
    return await smart.post("token", data=form | changes)


async def test_a_refresh_token_is_exchanged_for_the_next_one(smart):
    client_id = smart.add(app())
    first = await smart.opened(client_id, scope=EVERYTHING)
    response, second = await refresh(smart, client_id, first["refresh_token"])
    assert response.status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert (second["patient"], second["scope"]) == ("ann", first["scope"])
    assert (await grant_of(smart, second["access_token"])).patient == "ann"


async def test_a_refresh_token_that_comes_twice_ends_all_that_came_of_the_approval(smart):
    client_id = smart.add(app())
    first = await smart.opened(client_id, scope=EVERYTHING)
    _, second = await refresh(smart, client_id, first["refresh_token"])
    response, body = await refresh(smart, client_id, first["refresh_token"])
    assert (response.status, body["error"]) == (400, "invalid_grant")
    assert smart.entries()[-1]["reason"] == "ticket-used"
    assert await grant_of(smart, first["access_token"]) is None
    assert await grant_of(smart, second["access_token"]) is None
    assert (await refresh(smart, client_id, second["refresh_token"]))[0].status == 400


async def test_a_refresh_may_ask_for_less_and_never_for_more(smart):
    client_id = smart.add(app())
    first = await smart.opened(client_id, scope="launch/patient offline_access patient/Patient.rs")
    _, second = await refresh(smart, client_id, first["refresh_token"], scope="patient/*.r")
    assert second["error"] == "invalid_scope"
    first = await smart.opened(client_id, scope="launch/patient offline_access patient/Patient.rs")
    _, second = await refresh(smart, client_id, first["refresh_token"], scope="patient/Patient.r")
    assert second["scope"] == "patient/Patient.r"


async def test_a_refresh_for_less_does_not_leave_the_patients_context(smart):
    """Of scopes for a patient and for the user, approved together, those of the user alone."""
    client_id = smart.add(app())
    both = "launch/patient offline_access patient/Patient.rs user/Practitioner.rs"
    first = await smart.opened(client_id, scope=both)
    scope = "user/Practitioner.rs"
    _, second = await refresh(smart, client_id, first["refresh_token"], scope=scope)
    assert second["scope"] == scope
    assert (await grant_of(smart, second["access_token"])).patient == "ann"


async def test_without_access_scopes_there_is_no_refresh_token(smart):
    assert "refresh_token" not in await smart.opened(smart.add(app()))


@pytest.mark.parametrize(("scope", "hours"), [("online_access", 12), ("offline_access", 90 * 24)])
async def test_refreshing_ends_with_the_day_or_after_90_days(smart, scope, hours):
    client_id = smart.add(app())
    body = await smart.opened(client_id, scope=f"{scope} launch/patient patient/Patient.rs")
    smart.clock.moment = NOW + timedelta(hours=hours, seconds=-1)
    _, body = await refresh(smart, client_id, body["refresh_token"])
    smart.clock.moment = NOW + timedelta(hours=hours)
    response, body = await refresh(smart, client_id, body["refresh_token"])
    assert (response.status, body["error"]) == (400, "invalid_grant")


async def test_nothing_counts_of_a_person_who_was_locked_out(smart):
    client_id = smart.add(app())
    body = await smart.opened(client_id, scope=EVERYTHING)
    smart.accounts.set_active("ida", active=False)
    assert await grant_of(smart, body["access_token"]) is None
    response, answer = await refresh(smart, client_id, body["refresh_token"])
    assert (response.status, answer["error"]) == (400, "invalid_grant")
    assert smart.entries()[-1]["reason"] == "person-not-allowed"


async def test_nothing_counts_of_an_app_that_was_removed_or_changed(smart):
    client_id = smart.add(app())
    body = await smart.opened(client_id, scope=EVERYTHING)
    smart.add(app())
    assert await grant_of(smart, body["access_token"]) is None
    assert (await refresh(smart, client_id, body["refresh_token"]))[0].status == 400


# --- revocation and introspection ---------------------------------------------------------------


async def test_a_refresh_token_taken_back_ends_the_approval(smart):
    client_id = smart.add(app())
    body = await smart.opened(client_id, scope=EVERYTHING)
    form = {"token": body["refresh_token"], "client_id": client_id}
    response, _ = await smart.post("revoke", data=form)
    assert response.status == 200
    assert await grant_of(smart, body["access_token"]) is None
    assert (await refresh(smart, client_id, body["refresh_token"]))[0].status == 400
    assert ("SMART-REVOKE", "ok") in [(e["txn"], e["outcome"]) for e in smart.entries()]


async def test_an_access_token_taken_back_ends_alone(smart):
    client_id = smart.add(app())
    body = await smart.opened(client_id, scope=EVERYTHING)
    form = {"token": body["access_token"], "client_id": client_id}
    assert (await smart.post("revoke", data=form))[0].status == 200
    assert await grant_of(smart, body["access_token"]) is None
    assert (await refresh(smart, client_id, body["refresh_token"]))[0].status == 200


async def test_nobody_takes_back_anothers_token(smart):
    client_id = smart.add(app())
    other = smart.add(app(name="other-app"))
    body = await smart.opened(client_id, scope=EVERYTHING)
    for token in (body["access_token"], body["refresh_token"], "never-was"):
        form = {"token": token, "client_id": other}
        assert (await smart.post("revoke", data=form))[0].status == 200
    assert await grant_of(smart, body["access_token"]) is not None


async def test_introspection_says_what_the_app_was_opened_for(smart):
    smart.accounts.set_practitioner("ida", "pr-1")
    body = await smart.opened(smart.add(app()), scope=EVERYTHING)
    bearer = {"authorization": f"Bearer {body['access_token']}"}
    _, found = await smart.post("introspect", data={"token": body["access_token"]}, headers=bearer)
    assert found["active"] is True
    assert (found["patient"], found["scope"]) == ("ann", EVERYTHING)
    assert (found["iss"], found["sub"]) == (BASE, "ida")
    assert found["fhirUser"] == f"{BASE}/Practitioner/pr-1"
    _, found = await smart.post("introspect", data={"token": "x"}, headers=bearer)
    assert found == {"active": False}


# --- from an EHR --------------------------------------------------------------------------------


async def ehr_token(smart):
    given = backend(name="ehr", scopes=("launch", "system/Patient.rs"))
    _, body = await smart.ask(smart.add(given), form={"scope": "launch"})
    assert body["scope"] == "launch"
    return {"authorization": f"Bearer {body['access_token']}"}


async def launch(smart, app_id, **fields):
    headers = await ehr_token(smart)
    return await smart.post("launch", data={"client_id": app_id, **fields}, headers=headers)


LAUNCH_SCOPE = "launch patient/Patient.rs"


async def test_an_ehr_opens_an_app_on_the_patient_of_its_screen(smart):
    client_id = smart.add(app())
    response, made = await launch(smart, client_id, patient="ann", encounter="e1", user="ida")
    assert (response.status, made["iss"]) == (200, BASE)
    async with smart.browser() as person:
        await person.ask(smart.asked(client_id, scope=LAUNCH_SCOPE, launch=made["launch"]))
        await person.sign_in()
        assert "Ann Arden" in person.text
        assert "Choose a patient" not in person.text
        await person.do("approve")
    _, body = await smart.exchange(client_id, person.said["code"])
    assert (body["patient"], body["encounter"]) == ("ann", "e1")
    assert body["need_patient_banner"] is False
    assert (await grant_of(smart, body["access_token"])).patient == "ann"
    assert "SMART-LAUNCH" in [e["txn"] for e in smart.entries()]


async def test_a_launch_counts_once_for_five_minutes_and_for_its_app_and_user(smart):
    client_id, other = smart.add(app()), smart.add(app(name="other-app"))
    _, made = await launch(smart, client_id, patient="ann", user="ida")
    opening = {"scope": LAUNCH_SCOPE, "launch": made["launch"]}
    async with smart.browser() as person:
        await person.ask(smart.asked(other, **opening))
        assert person.said["error"] == "invalid_request"
        await person.ask(smart.asked(client_id, **opening))
        await person.sign_in("rob")
        assert person.status == 403
        await person.ask(smart.asked(client_id, **opening))
        assert person.said["error"] == "invalid_request"
    _, made = await launch(smart, client_id, patient="ann")
    smart.clock.moment = NOW + timedelta(minutes=5)
    async with smart.browser() as person:
        await person.ask(smart.asked(client_id, scope=LAUNCH_SCOPE, launch=made["launch"]))
    assert smart.entries()[-1]["reason"] == "launch-unknown"


async def test_a_launch_for_another_user_is_not_approved(smart):
    smart.accounts.add("eva", "Eva Else", ("clinician",), "another set of words", own=True)
    client_id = smart.add(app())
    _, made = await launch(smart, client_id, patient="ann", user="eva")
    async with smart.browser() as person:
        await person.ask(smart.asked(client_id, scope=LAUNCH_SCOPE, launch=made["launch"]))
        await person.sign_in("ida")
        assert person.status == 403
        await person.do("approve")
        assert person.said is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"client_id": "nobody"}, "launch-field"), ({"patient": "a b"}, "launch-field"),
     ({"encounter": "e1"}, "launch-field"), ({"user": "nobody"}, "person-not-allowed"),
     ({"user": "rob"}, "person-not-allowed")],
)  # fmt: skip
async def test_what_cannot_be_opened_is_refused(smart, fields, code):
    await launch(smart, smart.add(app()), **fields)
    leaf = smart.entries()[-1]
    assert (leaf["txn"], leaf["reason"]) == ("SMART-LAUNCH", code)


async def test_only_systems_with_the_scope_open_apps(smart):
    client_id = smart.add(app())
    body = await smart.opened(client_id)
    _, plain = await smart.ask(smart.add(backend()))
    for token in ("", "x", body["access_token"], plain["access_token"]):
        headers = {"authorization": f"Bearer {token}"}
        response, _ = await smart.post("launch", data={"client_id": client_id}, headers=headers)
        assert response.status == 401
        assert smart.entries()[-1]["reason"] == "launch-token"


# --- an app with keys ---------------------------------------------------------------------------


async def test_an_app_with_keys_proves_itself_by_them(smart):
    given = app(public=False, jwks=jwks(client_key()))
    client_id = smart.add(given)
    code = await smart.approved(client_id)
    response, body = await smart.exchange(client_id, code)
    assert (response.status, body["error"]) == (401, "invalid_client")
    assertion = smart.signed(smart.claims(client_id)).decode()
    response, body = await smart.exchange(
        client_id,
        code,
        client_assertion=assertion,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    )
    assert response.status == 200, body
