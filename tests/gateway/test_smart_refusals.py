"""What an app may not do when it asks for an approval or brings a code, by rule (2.3, 9.2)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from node.console.apps import pages
from node.gateway.oauth.guard import Guard
from node.gateway.oauth.local_client import Launch
from tests.oauth_world import BASE
from tests.smart_world import BACK, PeopleWorld, app, backend
from tests.udap_world import NOW

REQUEST = "invalid_request"


@pytest.fixture
async def smart(tmp_path):
    async with PeopleWorld(tmp_path).running() as made:
        yield made


# --- what only the person is told: nobody else can be told safely -------------------------------

PAGES = {
    "client_id missing": ("client-unknown", {"client_id": None}),
    "client_id unknown": ("client-unknown", {"client_id": "nobody"}),
    "client is a system": ("client-kind", {"client_id": "id-of-lab-feed"}),
    "redirect_uri missing": ("oauth-redirect", {"redirect_uri": None}),
    "redirect_uri of another host": ("oauth-redirect", {"redirect_uri": "https://thief.example/"}),
    "redirect_uri with a slash more": ("oauth-redirect", {"redirect_uri": f"{BACK}/"}),
    "redirect_uri with a query more": ("oauth-redirect", {"redirect_uri": f"{BACK}?a=b"}),
    "redirect_uri in capitals": ("oauth-redirect", {"redirect_uri": BACK.upper()}),
    "redirect_uri as a prefix": ("oauth-redirect", {"redirect_uri": f"{BACK}.thief.example"}),
}


@pytest.mark.parametrize("row", PAGES)
async def test_a_request_that_cannot_be_answered_safely_stays_here(smart, row):
    code, changes = PAGES[row]
    smart.add(backend())
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app()), **changes))
        assert person.said is None
        assert person.status == 400
        assert code in person.text
        assert "thief" not in person.text
    leaf = smart.entries()[-1]
    assert (leaf["txn"], leaf["outcome"], leaf["reason"]) == ("SMART-APPROVAL", "declined", code)


# --- what the app is told -----------------------------------------------------------------------

SENT_BACK = {
    "response_type missing": ("oauth-response-type", "unsupported_response_type",
                              {"response_type": None}),
    "implicit flow": ("oauth-response-type", "unsupported_response_type",
                      {"response_type": "token"}),
    "state missing": ("oauth-state", REQUEST, {"state": None}),
    "state with a line break": ("oauth-state", REQUEST, {"state": "a\nb"}),
    "aud missing": ("oauth-audience", REQUEST, {"aud": None}),
    "aud of another server": ("oauth-audience", REQUEST, {"aud": "https://thief.example/fhir"}),
    "aud with a slash more": ("oauth-audience", REQUEST, {"aud": f"{BASE}/"}),
    "code_challenge missing": ("oauth-challenge", REQUEST, {"code_challenge": None}),
    "code_challenge_method missing": ("oauth-challenge", REQUEST, {"code_challenge_method": None}),
    "code_challenge_method plain": ("oauth-challenge", REQUEST, {"code_challenge_method": "plain"}),
    "code_challenge too short": ("oauth-challenge", REQUEST, {"code_challenge": "abc"}),
    "scope missing": ("scope-none", "invalid_scope", {"scope": None}),
    "scope of a system": ("scope-none", "invalid_scope", {"scope": "system/Patient.rs"}),
    "scope that was not registered": ("scope-none", "invalid_scope", {"scope": "patient/Goal.rs"}),
    "a wildcard that is not ours": ("scope-wildcard", "invalid_scope",
                                    {"scope": "patient/*.cruds"}),
    "prompt=none": ("oauth-interaction", "interaction_required", {"prompt": "none"}),
    "request object": ("oauth-object", "request_not_supported", {"request": "e30.e30.AA"}),
    "launch unknown": ("launch-unknown", REQUEST,
                       {"launch": "x", "scope": "launch patient/Patient.rs"}),
    "launch without its scope": ("launch-unknown", REQUEST, {"launch": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("row", SENT_BACK)
async def test_a_wrong_request_is_told_to_the_app_and_entered(smart, row):
    code, error, changes = SENT_BACK[row]
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app()), **changes))
    assert person.said["to"].startswith(f"{BACK}?")
    assert person.said["error"] == error
    assert f"[{code}]" in person.said["error_description"]
    assert person.said["iss"] == BASE
    assert person.said.get("state") == changes.get("state", "a-state-that-nobody-guesses")
    assert smart.entries()[-1]["reason"] == code


async def test_an_app_that_an_ehr_opens_is_not_opened_otherwise(smart):
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app(launches=(Launch.EHR,)))))
    assert person.said["error"] == "unauthorized_client"


async def test_a_parameter_that_comes_twice_is_refused(smart):
    asked = smart.asked(smart.add(app()))
    async with smart.browser() as person:
        await person.ask([*asked.items(), ("redirect_uri", "https://thief.example/")])
        assert person.said is None
        assert person.status == 400


async def test_strangers_fill_neither_log_nor_memory(smart):
    async with smart.browser() as person:
        for _ in range(40):
            await person.ask(smart.asked("nobody"))
    assert person.status == 429
    assert len(smart.entries()) == 30


async def test_one_address_fills_not_all_places_of_waiting_requests(tmp_path, monkeypatch):
    """A client_id and a redirect URI are no secrets."""
    monkeypatch.setattr(pages, "_MOST_BEGUN", 5)
    async with PeopleWorld(tmp_path).running() as smart, smart.browser() as person:
        client_id = smart.add(app())
        for _ in range(5):
            await person.ask(smart.asked(client_id))
            assert person.status == 200
        await person.ask(smart.asked(client_id))
        assert person.status == 429
        smart.clock.moment = NOW + timedelta(minutes=1)
        await person.ask(smart.asked(client_id))
        assert person.status == 200


async def test_a_request_waits_for_ten_minutes(smart):
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app())))
        await person.sign_in()
        smart.clock.moment = NOW + timedelta(minutes=10)
        await person.do("approve")
        assert person.status == 404
        assert person.said is None


async def test_a_patient_must_be_chosen_before_anything_is_approved(smart):
    async with smart.browser() as person:
        await person.ask(smart.asked(smart.add(app())))
        await person.sign_in()
        await person.do("approve")
        assert person.said is None
        assert "Choose a patient" in person.text
        await person.post(do="choose", patient="nobody")
        await person.do("approve")
        assert person.said is None


# --- codes --------------------------------------------------------------------------------------

CODES = {
    "code missing": ("oauth-parameter-missing", REQUEST, {"code": None}),
    "code unknown": ("ticket-unknown", "invalid_grant", {"code": "x" * 43}),
    "redirect_uri missing": ("ticket-not-fitting", "invalid_grant", {"redirect_uri": None}),
    "redirect_uri another": ("ticket-not-fitting", "invalid_grant",
                             {"redirect_uri": f"{BACK}/"}),
    "code_verifier missing": ("oauth-parameter-missing", REQUEST, {"code_verifier": None}),
    "code_verifier wrong": ("ticket-not-fitting", "invalid_grant", {"code_verifier": "w" * 43}),
    "code_verifier too short": ("ticket-not-fitting", "invalid_grant", {"code_verifier": "v"}),
    "client_id missing": ("oauth-parameter-missing", REQUEST, {"client_id": None}),
    "client_id unknown": ("client-unknown", "invalid_client", {"client_id": "nobody"}),
    "another client's code": ("ticket-unknown", "invalid_grant", {"client_id": "id-of-other"}),
    "a backend's grant": ("client-kind", "unauthorized_client",
                          {"grant_type": "client_credentials", "scope": "patient/Patient.rs"}),
    "a secret beside it": ("oauth-client-secret", REQUEST, {"client_secret": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("row", CODES)
async def test_a_code_is_refused_by_its_code_and_entered(smart, row):
    code, error, changes = CODES[row]
    client_id = smart.add(app())
    smart.add(app(name="other"))
    given = await smart.approved(client_id)
    response, body = await smart.exchange(**({"client_id": client_id, "code": given} | changes))
    assert response.status == (401 if error == "invalid_client" else 400)
    assert body["error"] == error
    assert body["error_description"].endswith(f"[{code}]")
    assert smart.entries()[-1]["reason"] == code


async def test_a_code_counts_for_one_minute(smart):
    client_id = smart.add(app())
    code = await smart.approved(client_id)
    smart.clock.moment = NOW + timedelta(seconds=60)
    response, body = await smart.exchange(client_id, code)
    assert (response.status, body["error"]) == (400, "invalid_grant")


async def test_a_code_that_comes_twice_ends_what_the_first_gave(smart):
    client_id = smart.add(app())
    code = await smart.approved(client_id)
    _, body = await smart.exchange(client_id, code)
    assert Guard(smart.server).of_token(body["access_token"]) is not None
    response, answer = await smart.exchange(client_id, code)
    assert (response.status, answer["error"]) == (400, "invalid_grant")
    assert smart.entries()[-1]["reason"] == "ticket-used"
    assert Guard(smart.server).of_token(body["access_token"]) is None


async def test_who_guesses_a_verifier_has_one_guess(smart):
    client_id = smart.add(app())
    code = await smart.approved(client_id)
    await smart.exchange(client_id, code, code_verifier="w" * 43)
    assert (await smart.exchange(client_id, code))[0].status == 400


async def test_a_code_is_no_refresh_token_and_no_access_token(smart):
    client_id = smart.add(app())
    code = await smart.approved(client_id)
    form = {"grant_type": "refresh_token", "refresh_token": code, "client_id": client_id}
    assert (await smart.post("token", data=form))[1]["error"] == "invalid_grant"
    assert Guard(smart.server).of_token(code) is None


async def test_the_log_holds_neither_code_nor_token(smart):
    client_id = smart.add(app())
    code = await smart.approved(client_id, scope="offline_access patient/Patient.rs")
    _, body = await smart.exchange(client_id, code)
    everything = (
        b"".join(group.data for n in range(2) for group in smart.shown(n).groups.values())
        + str(smart.entries()).encode()
    )
    for secret in (code, body["access_token"], body["refresh_token"]):
        assert secret.encode() not in everything
