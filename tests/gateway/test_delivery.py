"""Documents pushed from one community to another: ITI-80 over real TLS, into real records."""

from __future__ import annotations

from dataclasses import replace

import pytest
from delivery_world import CDA, STRANGER, THEIR_ID, cda, delivering, note
from soap_world import OUR_HCID

from node.errors import AnswerError, OurFault
from node.exchange.questions import DocumentSearch, find_documents_query
from node.gateway.limits import MessageLimits
from node.gateway.soap_app import soap_app
from node.model import Code, Outcome, ResponseStatus, Severity, Transaction
from node.policy.purposes import purpose_register


@pytest.fixture
async def world(tmp_path, us, them):
    async with delivering(us, them, tmp_path) as running:
        yield running


def codes(answer) -> list[str]:
    assert answer.status is ResponseStatus.FAILURE
    assert all(error.location == OUR_HCID for error in answer.errors)
    return [error.code for error in answer.errors]


async def test_a_document_is_taken_and_served_by_a_query_and_a_retrieve(world):
    patient = world.knows()
    answer = await world.send(world.delivery())
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())
    found = await world.records.find(find_documents_query(patient, OUR_HCID, DocumentSearch()))
    (entry,) = found.documents
    assert entry.unique_id == cda().facts.unique_id
    assert entry.title == cda().facts.title
    opened = await world.records.open(entry.ref)
    assert b"".join([chunk async for chunk in opened.chunks]) == CDA
    assert world.left == []


async def test_law_1_the_entry_is_durable_before_anything_is_kept(world, monkeypatch):
    world.knows()
    kept = []
    monkeypatch.setattr(world.index, "add", lambda *_: kept.append(list(world.ledger.log)) or [])
    await world.send(world.delivery())
    assert kept == [["durable"]]
    (record,) = world.ledger.records
    leg = record.leg
    assert (leg.transaction, leg.outcome, leg.documents) == (Transaction.ITI_80, Outcome.OK, 1)
    assert record.request_digest == world.trace.evidence.request_digest
    assert record.response_digest == world.trace.evidence.response_digest
    assert record.private.docs[0]["sha256"] == cda().content.sha256
    assert record.private.query["submission_set"]


async def test_law_1_nothing_is_kept_when_the_entry_cannot_be_written(world):
    world.knows()
    world.ledger.fails = OurFault("internal-error", "The disk is full.")
    with pytest.raises(AnswerError):
        await world.send(world.delivery())
    assert world.index.counts().documents == 0
    assert world.left == []


async def test_two_documents_of_one_person_are_taken_whole(world):
    patient = world.knows()
    answer = await world.send(world.delivery(cda(), note()))
    assert answer.status is ResponseStatus.SUCCESS
    assert len(world.index.of_person(patient.id)) == 2
    assert world.index.counts().patients == 1


async def test_the_same_delivery_again_is_a_success_that_changes_nothing(world):
    world.knows()
    for _ in range(2):
        assert (await world.send(world.delivery())).status is ResponseStatus.SUCCESS
    assert world.index.counts().documents == 1
    assert [record.leg.outcome for record in world.ledger.records] == [Outcome.OK] * 2


async def test_a_known_unique_id_with_other_bytes_is_xds_non_identical_hash(world):
    world.knows()
    await world.send(world.delivery(note()))
    answer = await world.send(world.delivery(note(b"Changed"), cda()))
    assert codes(answer) == ["XDSNonIdenticalHash"]
    assert world.index.counts().documents == 1


async def test_an_unknown_patient_is_xds_unknown_patient_id_and_nobody_is_made(world):
    answer = await world.send(world.delivery(note(patient=STRANGER)))
    assert codes(answer) == ["XDSUnknownPatientId"]
    assert world.index.counts().patients == 0
    assert world.ledger.records[-1].leg.outcome is Outcome.FAILED
    assert world.left == []


async def test_an_id_of_ours_names_the_patient(world):
    patient = world.knows()
    answer = await world.send(world.delivery(note()).about(patient))
    assert answer.status is ResponseStatus.SUCCESS
    assert len(world.index.of_person(patient.id)) == 1


async def test_an_id_of_ours_that_nobody_has_is_xds_unknown_patient_id(world):
    patient = world.knows()
    answer = await world.send(world.delivery().about(replace(patient, id="nobody")))
    assert codes(answer) == ["XDSUnknownPatientId"]


async def test_an_id_of_ours_with_somebody_elses_document_is_xds_patient_id_does_not_match(world):
    world.knows()
    other = world.index.patient_id(world.index.place(STRANGER, "other", world.soap.clock.now()))
    answer = await world.send(world.delivery().about(other))
    assert set(codes(answer)) == {"XDSPatientIdDoesNotMatch"}
    assert world.index.counts().documents == 0


async def test_two_patients_in_one_message_are_xds_patient_id_does_not_match(world):
    world.knows()
    made = world.delivery(note(), note(b"More", 2))
    second = made.documents[1]
    entry = replace(second.entry, source_patient_id=replace(THEIR_ID, id="Canary-78"))
    mixed = replace(made, documents=(made.documents[0], replace(second, entry=entry)))
    assert codes(await world.send(mixed)) == ["XDSPatientIdDoesNotMatch"]
    assert "Canary" not in str(world.ledger.records[-1].leg)


async def test_another_community_is_xds_unavailable_community(world):
    answer = await world.send(world.delivery(), to="urn:oid:2.999.404")
    assert codes(answer) == ["XDSUnavailableCommunity"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"hash": "0" * 39 + "1"}, "XDSRepositoryMetadataError"),
        ({"class_code": None}, "XDSRegistryMetadataError"),
    ],
)
async def test_all_or_nothing_one_flawed_document_keeps_the_good_one_out(world, changes, code):
    world.knows()
    made = world.delivery(cda(), note())
    flawed = replace(made.documents[1], entry=replace(made.documents[1].entry, **changes))
    answer = await world.send(replace(made, documents=(made.documents[0], flawed)))
    assert codes(answer) == [code]
    assert world.index.counts().documents == 0


async def test_what_is_not_kept_is_a_warning_beside_success(world):
    world.knows()
    made = world.delivery()
    (document,) = made.documents
    entry = replace(document.entry, extra_slots=(("urn:x:more", ("1",)),))
    answer = await world.send(replace(made, documents=(replace(document, entry=entry),)))
    assert answer.status is ResponseStatus.SUCCESS
    assert [(e.code, e.severity) for e in answer.errors] == [
        ("XDSExtraMetadataNotSaved", Severity.WARNING)
    ]
    assert world.ledger.records[-1].leg.outcome is Outcome.OK


async def test_a_person_who_opted_out_is_unknown_to_the_sender_and_named_in_the_log(world):
    world.opted_out.add(world.knows())
    answer = await world.send(world.delivery())
    assert codes(answer) == ["XDSUnknownPatientId"]
    leg = world.ledger.records[-1].leg
    assert (leg.outcome, leg.reason) == (Outcome.DECLINED, "patient-opted-out")
    assert world.index.counts().documents == 0


async def test_a_purpose_that_we_do_not_take_is_declined(world):
    world.knows()
    world.responds = frozenset({"T-PYMNT"})
    answer = await world.send(world.delivery())
    assert codes(answer) == ["LocalPolicyRestrictionError"]
    leg = world.ledger.records[-1].leg
    assert (leg.outcome, leg.reason) == (Outcome.DECLINED, "purpose-not-answered")


async def test_a_purpose_for_pushes_alone_is_taken(world):
    world.knows()
    ecr = purpose_register().purposes["T-PH-ECR"].code
    world.responds = frozenset({ecr.code})
    them = world.soap.facts.entries["them"]
    world.soap.facts.entries["them"] = replace(them, initiates=frozenset({ecr.code}))
    sender = replace(world.soap.principal, purpose=Code(code=ecr.code, scheme=ecr.scheme))
    answer = await world.send(world.delivery(), principal=sender)
    assert answer.status is ResponseStatus.SUCCESS


async def test_what_could_not_be_stored_is_said_in_the_log_and_to_the_sender(world, monkeypatch):
    world.knows()

    def broken(*_arguments, **_options):
        raise OSError("no room")

    monkeypatch.setattr(world.store, "put", broken)
    assert codes(await world.send(world.delivery())) == ["XDSRepositoryError"]
    legs = [record.leg for record in world.ledger.records]
    assert [(leg.outcome, leg.reason) for leg in legs] == [
        (Outcome.OK, None),
        (Outcome.FAILED, "publish-failed"),
    ]
    assert len({leg.exchange_id for leg in legs}) == 1
    assert world.index.counts().documents == 0
    assert world.left == []


async def test_a_document_past_the_limit_is_refused_and_nothing_is_left(world):
    world.knows()
    with pytest.raises(AnswerError):
        await world.send(world.delivery(note(b"x" * (5 * 1024 * 1024))))
    assert world.soap.responding.reasons == ["request-too-large"]
    assert world.left == []


async def test_a_message_past_the_limit_is_refused_and_nothing_is_left(tmp_path, us, them):
    limits = MessageLimits(delivery_bytes=100_000)
    async with delivering(us, them, tmp_path, limits=limits) as world:
        with pytest.raises(AnswerError):
            await world.send(world.delivery(note(b"x" * 200_000)))
        assert world.soap.responding.reasons == ["request-too-large"]
        assert world.left == []


async def test_more_documents_than_the_limit_are_refused(tmp_path, us, them):
    async with delivering(us, them, tmp_path) as world:
        world.soap.gateway = replace(
            world.soap.gateway, own=replace(world.soap.gateway.own, documents_per_request=1)
        )
        world.soap.relay.app = soap_app(world.soap.gateway)
        with pytest.raises(AnswerError):
            await world.send(world.delivery(cda(), note()))
        assert world.left == []
