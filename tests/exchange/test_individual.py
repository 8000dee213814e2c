"""Individual access, responding: every question is proved, each refusal has its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from node.exchange.ports import Asker, Inbound
from node.exchange.respond import OwnNode, Responder
from node.individuals import ProviderTokens
from node.jwks_addresses import JwksAddresses
from node.model import (
    DiscoveryAnswer,
    MatchStatus,
    Outcome,
    PatientQuery,
    QueryAnswer,
    ResponseStatus,
    Transaction,
)
from node.outbound_fetch import Fetched
from node.policy.opt_out import OptOuts
from node.policy.purposes import purpose_register
from tests.exchange.test_respond import LOCAL, QUERY, REFS, SimRecords
from tests.ias_world import HCID, ISSUER, NOW, PERSON, csp_jwks, csp_key, id_token
from tests.sim.clock import SimClock
from tests.sim.network import ALICE, OWN, SimDirectory, SimLedger, entry, principal
from trust.udap.id_token import digest_of_id_token

PURPOSE = purpose_register().purposes["T-IAS"].code


class Records(SimRecords):
    """One person of the token, with two documents."""

    def __init__(self) -> None:
        super().__init__()
        self.knows = True

    async def match(self, demographics):
        self.matched += 1
        is_them = demographics.names[0].family == "Brightwater"
        held = await super().match(replace(PERSON, names=ALICE.names))
        return held if is_them and self.knows else []


class World:
    def __init__(self, tmp_path, *, endpoint: str | None = None, trusted: bool = True) -> None:
        file = tmp_path / "csp.json"
        file.write_text(csp_jwks())
        self.asked_addresses: list[str] = []
        self.published = csp_jwks("far")

        async def fetch(address: str) -> Fetched:
            self.asked_addresses.append(address)
            return Fetched(body=self.published.encode(), headers={})

        tokens = ProviderTokens(
            {ISSUER: file, "https://far.example": "https://far.example/jwks"},
            JwksAddresses(fetch, lambda: 0.0),
            now=lambda: NOW,
            lifetime=timedelta(hours=1),
            skew=timedelta(minutes=1),
        )
        self.records, self.ledger = Records(), SimLedger()
        self.responder = Responder(
            own=OwnNode(
                home_community_id=OWN,
                organization_name="Own Health",
                responds=lambda: frozenset({PURPOSE.code}),
                repository_unique_id="2.999.1.2",
            ),
            records=self.records,
            ledger=self.ledger,
            directory=SimDirectory(entry(2)),
            clock=SimClock(),
            purposes=purpose_register(),
            opt_outs=OptOuts,
            id_tokens=tokens if trusted else None,
            individual_endpoint=endpoint,
        )
        self.answers: list[object] = []

    def encode(self, answer: object) -> bytes:
        self.answers.append(answer)
        return repr(answer).encode()

    async def ask(self, transaction: Transaction, token: str | None, asked=PERSON):
        given = entry(2, initiates=frozenset({PURPOSE.code}))
        inbound = Inbound(
            transaction=transaction,
            message_id="urn:uuid:7",
            asker=Asker(
                principal=replace(
                    principal(PURPOSE), home_community_id=HCID, id_token=token
                ),
                entry=given, binding="pinned", assertion_id="_a1",
            ),
            peer_key="cd" * 32,
            request_digest=b"\2" * 32,
        )  # fmt: skip
        match transaction:
            case Transaction.ITI_55:
                await self.responder.discover(
                    inbound, PatientQuery(demographics=asked), self.encode
                )
            case Transaction.ITI_38:
                await self.responder.find(inbound, QUERY, self.encode)
            case _:
                await self.responder.retrieve(inbound, REFS, self.encode)
        return self.answers[-1], self.ledger.records[-1]


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("transaction", Transaction)
async def test_with_a_token_that_holds_the_question_is_answered(world, transaction):
    answer, record = await world.ask(transaction, id_token())
    assert record.leg.outcome is Outcome.OK
    assert record.leg.reason is None
    if isinstance(answer, DiscoveryAnswer):
        assert answer.matches[0].patient_id == LOCAL
    else:
        assert len(answer.documents) == 2


BAD = {
    "ias-token-missing": lambda: None,
    "ias-token-malformed": lambda: "eyJ.e30.x",
    "ias-token-issuer": lambda: id_token({"iss": "https://other.example"}),
    "ias-token-signature": lambda: id_token(key=csp_key("two"), header={"kid": "one"}),
    "ias-token-audience": lambda: id_token(audience="urn:oid:2.999.9"),
    "ias-token-expired": lambda: id_token(now=NOW - timedelta(minutes=6)),
    "ias-token-claims": lambda: id_token({"birthdate": None}),
}


@pytest.mark.parametrize("code", BAD)
@pytest.mark.parametrize("transaction", Transaction)
async def test_a_token_that_is_missing_or_wrong_refuses_the_question_with_its_reason(
    world, transaction, code
):
    token = BAD[code]()
    answer, record = await world.ask(transaction, token)
    assert (record.leg.outcome, record.leg.reason) == (Outcome.DECLINED, code)
    assert world.records.matched == 0
    if isinstance(answer, DiscoveryAnswer):
        assert answer.status is MatchStatus.AE
        assert code in (answer.problem_text or "")
    else:
        assert answer.status is ResponseStatus.FAILURE
        assert code in (answer.errors[-1].context or "")
    if token is not None:
        assert token not in repr(record)
        assert record.private.who["id_token"] == digest_of_id_token(token)


@pytest.mark.parametrize("transaction", Transaction)
async def test_a_node_that_trusts_no_provider_refuses(tmp_path, transaction):
    _, record = await World(tmp_path, trusted=False).ask(transaction, id_token())
    assert record.leg.reason == "ias-token-issuer"


async def test_a_discovery_about_somebody_else_is_refused_and_nobody_is_looked_for(world):
    _, record = await world.ask(
        Transaction.ITI_55, id_token(), asked=replace(PERSON, birth_date="19700101")
    )
    assert record.leg.reason == "ias-person-differs"
    assert "birth date" in record.leg.sentence
    assert "1970" not in record.leg.sentence
    assert world.records.matched == 0


@pytest.mark.parametrize("transaction", [Transaction.ITI_38, Transaction.ITI_39])
async def test_documents_of_another_person_than_the_token_proves_are_not_given(world, transaction):
    world.records.knows = False  # the patient who is named is not whom the token proves
    answer, record = await world.ask(transaction, id_token())
    assert record.leg.reason == "ias-other-person"
    assert answer.documents == ()
    assert isinstance(answer, QueryAnswer) == (transaction is Transaction.ITI_38)


async def test_keys_at_an_address_are_fetched_once_and_again_for_a_kid_that_is_new(tmp_path):
    world = World(tmp_path)
    token = id_token({"iss": "https://far.example"}, key=csp_key("far"))
    for _ in range(3):
        _, record = await world.ask(Transaction.ITI_55, token)
        assert record.leg.outcome is Outcome.OK
    assert world.asked_addresses == ["https://far.example/jwks"]


async def test_mode_1_the_answer_is_the_directory_id_of_our_endpoint(
    tmp_path,
):
    world = World(tmp_path, endpoint="ias-endpoint-1")
    world.records.knows = False
    answer, record = await world.ask(Transaction.ITI_55, id_token())
    (match,) = answer.matches
    assert match.patient_id.id == "ias-endpoint-1"
    assert match.patient_id.assigning_authority == OWN.removeprefix("urn:oid:")
    assert match.demographics.names == ()
    assert world.records.matched == 0
    assert record.private.patient == {}
    for transaction in (Transaction.ITI_38, Transaction.ITI_39):
        _, record = await world.ask(transaction, id_token())
        assert record.leg.reason == "ias-by-endpoint"
    _, record = await world.ask(Transaction.ITI_55, None)
    assert record.leg.reason == "ias-token-missing"


async def test_the_token_stands_in_no_entry_and_in_no_repr(world):
    token = id_token()
    _, record = await world.ask(Transaction.ITI_55, token)
    assert token not in repr(record)
    assert token not in str(record.private)
    assert record.private.who["id_token"] == digest_of_id_token(token)
