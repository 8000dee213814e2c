"""Documents that a local client has sent to other communities, through the gRPC service."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_documents import COMMUNITY, HOME, WHO, Context, service

from node.clock import SystemClock
from node.exchange.initiate import KnownPatient
from node.model import Demographics, PatientId, PersonName
from node.peers.inbox import FileInbox
from node.policy.decide import Decision, Effect
from node.rpc.deliveries import (
    SentDocument,
    delivery_request,
    read_delivery,
    read_delivery_targets,
)
from node.rpc.requests import InvalidRequest
from protos.tefca_node.v1 import exchange_pb2 as pb
from tests.delivery_world import CDA, PERSON
from tests.sim.network import principal

NOTE = SentDocument(
    content=b"Seen today", mime_type="text/plain", type_code="11506-3", title="Note"
)
ID = PatientId(assigning_authority="2.999.7.1", id="L-1")
SOMEBODY = Demographics(
    names=(PersonName(family="Sample", given=("Ann",)),), birth_date="19800101", identifiers=(ID,)
)
KNOWN = KnownPatient(home_community_id=HOME, patient_id=replace(ID, id="theirs"))


class FakeInitiator:
    def __init__(self) -> None:
        self.sent = []
        self.permitted = True
        self.delivers = None

    def may_ask(self, principal, *, delivers=False):
        self.delivers = delivers
        return Decision(effect=Effect.PERMIT, rules=())

    async def deliver(self, principal, delivery, targets, *, seconds):
        self.sent.append((principal, delivery, targets, seconds))
        return
        yield


async def delivered(tmp_path, *documents, person=None, targets=(HOME,), **changes):
    made = service(FileInbox(tmp_path / "spool", tmp_path / "shown"))
    made._initiator = fake = FakeInitiator()
    request = delivery_request(documents, person, targets)
    request.principal.CopyFrom(WHO)
    request.MergeFrom(pb.DeliverRequest(**changes))
    assert [message async for message in made.Deliver(request, Context())] == []
    assert fake.delivers
    ((_, delivery, given, _),) = fake.sent
    return delivery, given


async def test_a_cda_says_itself_whom_it_is_about(tmp_path):
    delivery, targets = await delivered(tmp_path, SentDocument(content=CDA))
    (document,) = delivery.documents
    assert document.entry.mime_type == "text/xml"
    assert f"PID-5|{PERSON.names[0].family}" in document.entry.source_patient_info[1]
    assert b"".join([c async for c in document.chunks()]) == CDA
    assert targets == [HOME]


async def test_another_document_is_what_the_request_says_of_it(tmp_path):
    delivery, targets = await delivered(tmp_path, NOTE, person=SOMEBODY, targets=(KNOWN, HOME))
    (document,) = delivery.documents
    assert (document.entry.mime_type, document.entry.title) == ("text/plain", "Note")
    assert document.entry.source_patient_id == ID
    assert document.entry.type_code.code == "11506-3"
    assert delivery.submission_set.source_id == COMMUNITY.home_community_id.removeprefix("urn:oid:")
    assert targets == [KNOWN, HOME]


@pytest.mark.parametrize(
    ("documents", "person", "targets", "sentence"),
    [
        ((), SOMEBODY, (HOME,), "no document"),
        ((NOTE,), SOMEBODY, (), "nobody to send to"),
        ((NOTE,), SOMEBODY, ("nowhere",), "home community id"),
        ((NOTE,), None, (HOME,), "whom it is about"),
        ((replace(NOTE, type_code=None),), SOMEBODY, (HOME,), "of what type"),
        ((replace(NOTE, mime_type=None),), SOMEBODY, (HOME,), "of a known kind"),
        ((NOTE,), replace(SOMEBODY, identifiers=()), (HOME,), "an id of the source"),
        ((SentDocument(content=CDA),), SOMEBODY, (HOME,), "another person"),
        ((SentDocument(content=CDA), NOTE), PERSON, (KNOWN,), None),
    ],
)
async def test_what_cannot_be_sent_is_told_without_values(
    tmp_path, documents, person, targets, sentence
):
    if sentence is None:
        assert len((await delivered(tmp_path, *documents, person=person))[0].documents) == 2
        return
    with pytest.raises(InvalidRequest) as refused:
        await delivered(tmp_path, *documents, person=person, targets=targets)
    assert sentence in str(refused.value)
    assert "Sample" not in str(refused.value)


def test_a_patient_id_of_a_target_is_whole():
    request = delivery_request((), None, (KNOWN,))
    request.targets[0].patient_id.assigning_authority = "no oid"
    with pytest.raises(InvalidRequest):
        read_delivery_targets(request.targets)


def test_ids_of_a_delivery_are_new_each_time():
    request = delivery_request([NOTE], SOMEBODY, (HOME,))
    made = [
        read_delivery(request, principal(), COMMUNITY, SystemClock()).submission_set.unique_id
        for _ in range(2)
    ]
    assert made[0] != made[1]
