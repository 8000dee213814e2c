"""The responding use cases: policy, what is withheld, and the order of law 1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from node.errors import OurFault
from node.exchange.ports import (
    Asker,
    Inbound,
    LocalPatient,
    OpenDocument,
    Refusal,
)
from node.exchange.questions import DocumentSearch, find_documents_query
from node.exchange.respond import OwnNode, Responder
from node.model import (
    Demographics,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    MatchStatus,
    ObjectRef,
    Outcome,
    PatientId,
    PatientQuery,
    QueryAnswer,
    ResponseStatus,
    StoredQuery,
    Transaction,
)
from node.policy.opt_out import OptOuts
from node.policy.purposes import purpose_register
from tests.sim.clock import SimClock
from tests.sim.network import (
    ALICE,
    OWN,
    PURPOSE,
    SimDirectory,
    SimLedger,
    document,
    entry,
    hcid,
    patient,
    principal,
)

MRN = PatientId(assigning_authority="2.999.1.77", id="Canary-MRN-77")
LOCAL = patient(1)
DOCUMENTS = {d.unique_id: d for d in (document(1, "a", b"A"), document(1, "b", b"B"))}
REFS = [d.ref for d in DOCUMENTS.values()]
QUERY = find_documents_query(LOCAL, OWN, DocumentSearch())


class SimRecords:
    """One person with two documents."""

    def __init__(self) -> None:
        self.matched = 0
        self.answer = QueryAnswer(documents=tuple(DOCUMENTS.values()))
        self.opened: list[str] = []
        self.breaks = False

    async def match(self, demographics: Demographics) -> Sequence[LocalPatient]:
        self.matched += 1
        if self.breaks:
            raise ZeroDivisionError
        if demographics.names != ALICE.names:
            return []
        held = replace(ALICE, identifiers=(MRN,))
        return [LocalPatient(patient_id=LOCAL, demographics=held, score=99)]

    async def find(self, query: StoredQuery) -> QueryAnswer:
        return self.answer

    async def identifiers(self, patient_id: PatientId) -> Sequence[PatientId]:
        return [LOCAL, MRN] if patient_id == LOCAL else []

    async def entry(self, ref: DocumentRef) -> DocumentEntry | None:
        return DOCUMENTS.get(ref.document_unique_id)

    async def open(self, ref: DocumentRef) -> OpenDocument | None:
        held = DOCUMENTS.get(ref.document_unique_id)
        if held is None:
            return None

        async def chunks() -> AsyncIterator[bytes]:
            self.opened.append(ref.document_unique_id)
            yield b"bytes"

        return OpenDocument(entry=held, chunks=chunks())


class World:
    def __init__(self, *opted_out: PatientId, quiet: bool = True) -> None:
        self.records = SimRecords()
        self.ledger = SimLedger()
        self.responder = Responder(
            own=OwnNode(
                home_community_id=OWN,
                organization_name="Own Health",
                responds=lambda: frozenset({PURPOSE.code}),
                repository_unique_id="2.999.1.2",
                quiet_opt_out=quiet,
            ),
            records=self.records,
            ledger=self.ledger,
            directory=SimDirectory(entry(2)),
            clock=SimClock(),
            purposes=purpose_register(),
            opt_outs=lambda: OptOuts(identifiers=frozenset(opted_out)),
        )
        self.answers: list[object] = []

    def encode(self, answer: object) -> bytes:
        self.answers.append(answer)
        self.ledger.log.append("encoded")
        return repr(answer).encode()

    @property
    def last(self):
        return self.ledger.records[-1]


def asked(transaction: Transaction = Transaction.ITI_55, **changes: object) -> Inbound:
    asker = Asker(
        principal=principal(), entry=entry(2, **changes), binding="pinned", assertion_id="_a1"
    )
    return Inbound(
        transaction=transaction,
        message_id="urn:uuid:7",
        asker=asker,
        peer_key="cd" * 32,
        request_digest=b"\2" * 32,
    )


async def test_law_1_the_answer_leaves_after_its_entry_is_durable() -> None:
    world = World()
    wire = await world.responder.discover(asked(), PatientQuery(demographics=ALICE), world.encode)
    assert wire
    assert world.ledger.log == ["encoded", "durable"]
    record = world.last
    assert record.leg.outcome is Outcome.OK
    assert record.binding == "pinned"
    assert record.response_digest is not None
    assert record.private.patient == {"ids": [LOCAL.cx]}


async def test_law_1_no_bytes_when_the_entry_cannot_be_written() -> None:
    world = World()
    world.ledger.fails = OurFault("internal-error", "The disk is full.")
    with pytest.raises(OurFault):
        await world.responder.discover(asked(), PatientQuery(demographics=ALICE), world.encode)


async def test_law_1_no_document_is_read_before_its_entry_is_durable() -> None:
    world = World()
    _, opened = await world.responder.retrieve(asked(Transaction.ITI_39), REFS, world.encode)
    assert len(opened) == 2
    assert world.records.opened == []
    assert world.last.leg.documents == 2


async def test_qtf_716_what_we_hold_is_returned_not_what_was_asked() -> None:
    world = World()
    question = replace(ALICE, birth_date="19991231")
    await world.responder.discover(asked(), PatientQuery(demographics=question), world.encode)
    answer = world.answers[0]
    assert isinstance(answer, DiscoveryAnswer)
    assert answer.matches[0].demographics.birth_date == "19700501"
    assert answer.matches[0].home_community_id == OWN


async def test_nobody_found_is_nothing_held() -> None:
    world = World()
    nobody = Demographics(birth_date="19000101")
    await world.responder.discover(asked(), PatientQuery(demographics=nobody), world.encode)
    assert world.last.leg.outcome is Outcome.OK_EMPTY
    assert world.answers[0] == DiscoveryAnswer(status=MatchStatus.NF)


async def test_a_refused_asker_makes_us_search_for_nobody() -> None:
    world = World()
    inbound = asked(initiates=frozenset())
    await world.responder.discover(inbound, PatientQuery(demographics=ALICE), world.encode)
    assert world.records.matched == 0
    answer = world.answers[0]
    assert isinstance(answer, DiscoveryAnswer)
    assert answer.status is MatchStatus.AE
    assert answer.problem is not None
    assert answer.problem.code == "AnswerNotAvailable"
    assert world.last.leg.outcome is Outcome.DECLINED
    assert world.last.leg.reason == "purpose-not-listed"


async def test_qtf_712_a_discovery_for_another_community_is_case_5() -> None:
    world = World()
    query = PatientQuery(demographics=ALICE, target=hcid(44))
    await world.responder.discover(asked(), query, world.encode)
    assert world.last.leg.reason == "wrong-community"
    assert world.records.matched == 0


@pytest.mark.parametrize("listed", [LOCAL, MRN])
async def test_an_opt_out_counts_by_any_identifier_and_says_nothing(listed: PatientId) -> None:
    world = World(listed)
    await world.responder.discover(asked(), PatientQuery(demographics=ALICE), world.encode)
    assert world.answers == [DiscoveryAnswer(status=MatchStatus.NF)]
    assert world.last.leg.outcome is Outcome.DECLINED
    assert world.last.leg.reason == "patient-opted-out"


async def test_an_opt_out_may_be_said_aloud_where_the_site_wants_it() -> None:
    world = World(MRN, quiet=False)
    await world.responder.discover(asked(), PatientQuery(demographics=ALICE), world.encode)
    answer = world.answers[0]
    assert isinstance(answer, DiscoveryAnswer)
    assert "patient-opted-out" in (answer.problem_text or "")


async def test_documents_of_a_patient_who_opted_out_are_withheld_and_it_is_said() -> None:
    world = World(MRN)
    await world.responder.find(asked(Transaction.ITI_38), QUERY, world.encode)
    answer = world.answers[0]
    assert isinstance(answer, QueryAnswer)
    assert answer.documents == ()
    assert answer.status is ResponseStatus.FAILURE
    assert [e.code for e in answer.errors] == ["LocalPolicyRestrictionError"]
    assert world.last.leg.outcome is Outcome.DECLINED


async def test_what_belongs_to_others_is_still_answered() -> None:
    world = World(MRN)
    other = replace(document(1, "c"), patient_id=patient(9))
    ref = ObjectRef(id="urn:uuid:x", patient_id=LOCAL)
    world.records.answer = QueryAnswer(documents=(*DOCUMENTS.values(), other), refs=(ref,))
    await world.responder.find(asked(Transaction.ITI_38), QUERY, world.encode)
    answer = world.answers[0]
    assert isinstance(answer, QueryAnswer)
    assert answer.documents == (other,)
    assert answer.refs == ()
    assert answer.status is ResponseStatus.PARTIAL_SUCCESS
    assert world.last.leg.outcome is Outcome.PARTIAL


async def test_a_document_of_a_patient_who_opted_out_is_not_retrieved() -> None:
    world = World(LOCAL)
    _, opened = await world.responder.retrieve(asked(Transaction.ITI_39), REFS, world.encode)
    assert opened == []
    assert world.last.leg.outcome is Outcome.DECLINED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"home_community_id": ""}, "XDSMissingHomeCommunityId"),
        ({"home_community_id": "urn:oid:2.999.5"}, "XDSUnknownCommunity"),
        ({"repository_unique_id": "2.999.9"}, "XDSUnknownRepositoryId"),
        ({"document_unique_id": "2.999.9^zz"}, "XDSDocumentUniqueIdError"),
    ],
)
async def test_15816_a_bad_id_beside_a_good_one_is_a_partial_success(
    changes: dict[str, str], code: str
) -> None:
    world = World()
    refs = [REFS[0], replace(REFS[1], **changes)]  # type: ignore[arg-type]
    _, opened = await world.responder.retrieve(asked(Transaction.ITI_39), refs, world.encode)
    answer = world.answers[0]
    assert len(opened) == 1
    assert answer.status is ResponseStatus.PARTIAL_SUCCESS
    assert [e.code for e in answer.errors] == [code]
    assert answer.errors[0].location == OWN
    assert world.last.leg.outcome is Outcome.PARTIAL


async def test_nothing_good_among_the_ids_is_a_failure() -> None:
    world = World()
    refs = [replace(REFS[0], document_unique_id="2.999^no")]
    await world.responder.retrieve(asked(Transaction.ITI_39), refs, world.encode)
    assert world.answers[0].status is ResponseStatus.FAILURE
    assert world.last.leg.outcome is Outcome.FAILED


async def test_law_3_a_refused_sender_is_written_down_with_its_reason() -> None:
    world = World()
    refusal = Refusal(code="assertion-expired", sentence="The assertion expired.", detail="5 s")
    inbound = replace(asked(), asker=refusal)
    await world.responder.refuse(inbound, world.encode)
    assert world.answers == [refusal]
    assert world.last.leg.outcome is Outcome.DECLINED
    assert world.last.leg.reason == "assertion-expired"
    assert world.last.leg.peer.name == "unknown"
    assert world.last.purpose is None


async def test_an_answer_that_breaks_is_written_down_as_failed() -> None:
    world = World()
    world.records.breaks = True
    with pytest.raises(ZeroDivisionError):
        await world.responder.discover(asked(), PatientQuery(demographics=ALICE), world.encode)
    assert world.last.leg.outcome is Outcome.FAILED
    assert world.last.leg.reason == "internal-error"


async def test_an_answer_that_is_cut_off_is_written_down_as_cancelled() -> None:
    world = World()

    async def forever(_: Demographics) -> Sequence[LocalPatient]:
        await asyncio.sleep(3600)
        return []

    world.records.match = forever  # type: ignore[method-assign]
    task = asyncio.create_task(
        world.responder.discover(asked(), PatientQuery(demographics=ALICE), world.encode)
    )
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.last.leg.outcome is Outcome.CANCELLED


async def test_law_6_what_the_ledger_says_in_the_open_holds_no_phi() -> None:
    world = World()
    await world.responder.discover(asked(), PatientQuery(demographics=ALICE), world.encode)
    await world.responder.find(asked(Transaction.ITI_38), QUERY, world.encode)
    for record in world.ledger.records:
        assert "Canary" not in repr(replace(record, private=None).leg)
