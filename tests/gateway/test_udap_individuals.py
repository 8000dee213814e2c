"""Individual access over FHIR: ``tefca_ias`` with an id_token that holds (facts: tefca 8, 8.1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from node.gateway.oauth.grants import TokenGrants
from node.gateway.oauth.guard import Guard
from node.individual_grants import IndividualGrants
from node.individuals import ProviderTokens
from node.jwks_addresses import JwksAddresses
from node.policy.opt_out import OptOuts
from node.policy.purposes import purpose_register
from tests import udap_world as world
from tests.fhir_world import bundle, open_records
from tests.ias_world import ISSUER, csp_jwks, csp_key, id_token
from tests.oauth_world import OauthWorld
from trust.udap.id_token import digest_of_id_token

URI = f"{world.HCID}#T-IAS"
PURPOSE = purpose_register().purposes["T-IAS"].code
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:oid:2.999.5", "value": "MRN-1"}],
    "name": [{"family": "Brightwater", "given": ["Orsolya"]}],
    "birthDate": "1981-07-09",
    "gender": "female",
    "address": [{"line": ["1 High Street"], "city": "Salem", "state": "OR", "postalCode": "97301"}],
    "telecom": [{"system": "phone", "value": "+1-503-555-0100"}],
}
OTHER = PATIENT | {"name": [{"family": "Lee", "given": ["Ann"]}], "birthDate": "1970-01-01"}


class Individuals:
    """A client for individual access at an authorization server that trusts a provider."""

    def __init__(self, oauth: OauthWorld) -> None:
        self.oauth = oauth
        self.certificates = [world.client(uri=URI), world.intermediate()]
        self.client_id = ""

    async def register(self) -> None:
        oauth = self.oauth
        oauth.peers.change("lake", initiates=frozenset({"T-IAS"}))
        statement = world.signed(oauth.statement(iss=URI, sub=URI), certificates=self.certificates)
        certification = world.signed(
            oauth.certification(iss=URI, sub=URI, exchange_purposes=["T-IAS"]),
            certificates=self.certificates,
        )
        _, body = await oauth.register(statement, [certification])
        self.client_id = body["client_id"]

    def token(self, claims=None, **options):
        return id_token(claims, now=self.oauth.clock.moment, audience=world.HCID, **options)

    async def ask(self, token, *, patient=PATIENT):
        b2b = world.b2b(purpose_of_use=[f"urn:oid:{PURPOSE.scheme}#T-IAS"])
        ias = {
            "version": "1",
            "purpose_of_use": "T-IAS",
            "user_information": {"resourceType": "RelatedPerson"},
            "patient_information": patient,
            "id_token": token,
        }
        return await self.oauth.ask(
            self.client_id,
            signing={"certificates": self.certificates},
            extensions={"hl7-b2b": b2b, "tefca_ias": ias},
        )


@pytest.fixture
async def oauth(tmp_path):
    async with OauthWorld(tmp_path).running() as made:
        yield made


@pytest.fixture
async def individuals(oauth, tmp_path):
    records = open_records(f"sqlite:///{tmp_path / 'records.db'}", tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "people.json").write_bytes(
        bundle(PATIENT | {"id": "orsolya"}, OTHER | {"id": "ann"})
    )
    assert records.load(tmp_path / "in").failures == ()
    file = tmp_path / "csp.json"
    file.write_text(csp_jwks())

    async def nowhere(_address):
        raise AssertionError("the keys are in a file")

    tokens = ProviderTokens(
        {ISSUER: file}, JwksAddresses(nowhere, lambda: 0.0), now=lambda: oauth.clock.moment,
        lifetime=timedelta(hours=1), skew=timedelta(minutes=1),
    )  # fmt: skip
    grants = IndividualGrants(tokens=tokens, records=records.source(), opt_outs=OptOuts)
    object.__setattr__(oauth.server, "individuals", grants)
    made = Individuals(oauth)
    await made.register()
    yield made
    records.engine.dispose()


async def test_an_individual_gets_a_token_that_is_bound_to_them(individuals):
    oauth, token = individuals.oauth, individuals.token()
    response, body = await individuals.ask(token)
    assert (response.status, body.get("error_description")) == (200, None)
    grants = TokenGrants(
        Guard(oauth.server), oauth.peers, oauth.server.own, purpose_register().system
    )
    found = await grants.grant(body["access_token"])
    assert found.patient == "orsolya"
    assert found.principal is None
    assert found.purpose == replace(PURPOSE, display=None)
    entry = oauth.entries()[-1]
    assert (entry["purpose"], entry["outcome"]) == ("T-IAS", "ok")
    assert token not in str(entry)


async def test_the_log_has_the_digest_of_the_id_token_and_not_the_token(individuals):
    token = individuals.token()
    await individuals.ask(token)
    groups = {n: g.value for n, g in individuals.oauth.shown().groups.items()}
    assert groups["who"]["id_token"] == digest_of_id_token(token)
    assert token not in str(groups)


BAD = {
    "ias-token-issuer": {"claims": {"iss": "https://other.example"}},
    "ias-token-expired": {"claims": {"iat": 1000, "exp": 1300}},
    "ias-token-audience": {"claims": {"aud": "urn:oid:2.999.77"}},
    "ias-token-claims": {"claims": {"birthdate": None}},
    "ias-token-malformed": {"alg": "RS384"},
}


@pytest.mark.parametrize("code", BAD)
async def test_a_wrong_id_token_is_invalid_grant_with_its_reason(individuals, code):
    response, body = await individuals.ask(individuals.token(**BAD[code]))
    assert (response.status, body["error"]) == (400, "invalid_grant")
    assert individuals.oauth.entries()[-1]["reason"] == code
    assert "Brightwater" not in str(body)


async def test_a_key_that_the_provider_does_not_publish(individuals):
    token = individuals.token(key=csp_key("two"), header={"kid": "one"})
    _, body = await individuals.ask(token)
    assert body["error"] == "invalid_grant"
    assert individuals.oauth.entries()[-1]["reason"] == "ias-token-signature"


async def test_the_patient_information_must_be_the_proved_person(individuals):
    _, body = await individuals.ask(individuals.token(), patient=OTHER)
    assert body["error"] == "invalid_grant"
    assert individuals.oauth.entries()[-1]["reason"] == "ias-person-differs"


async def test_no_match_is_invalid_grant(individuals):
    claims = {"given_name": "Nobody", "family_name": "Here"}
    nobody = PATIENT | {"name": [{"family": "Here", "given": ["Nobody"]}]}
    _, body = await individuals.ask(individuals.token(claims), patient=nobody)
    assert body["error"] == "invalid_grant"
    assert individuals.oauth.entries()[-1]["reason"] == "ias-no-match"


async def test_in_mode_1_no_system_gets_a_token_for_an_individual(individuals):
    individuals.oauth.server.individuals._by_endpoint = True
    _, body = await individuals.ask(individuals.token())
    assert body["error"] == "invalid_grant"
    assert individuals.oauth.entries()[-1]["reason"] == "ias-by-endpoint"
