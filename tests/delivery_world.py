"""A gateway that takes documents into real records, and a client that pushes them, over TLS."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import soap_world
from soap_world import AUTHORITY, OUR_HCID, REPOSITORY, World, asking, running

from node.exchange.asked import Admission
from node.exchange.deliver import Delivery
from node.exchange.individual import IndividualAccess
from node.exchange.own_node import OwnNode
from node.exchange.ports import Trace
from node.exchange.receive import DocumentRecipient
from node.exchange.served import ServedRecorder
from node.gateway.limits import MessageLimits
from node.gateway.soap_app import soap_app
from node.model import (
    DeliveryAnswer,
    Demographics,
    HomeCommunityId,
    PatientId,
    PersonName,
    Transaction,
)
from node.peers.inbox import FileInbox
from node.peers.soap_client import SoapPeers
from node.policy.opt_out import OptOuts
from node.policy.purposes import purpose_register
from node.records.deliveries import LocalDeliveries
from node.records.entries import Community
from node.records.fhir.index import FhirIndex
from node.records.fhir.loader import FhirLoader
from node.records.fhir.people import FhirPeople
from node.records.index import RecordIndex
from node.records.outgoing import Outgoing, content_of, delivery_of, in_memory
from node.records.source import LocalRecords
from node.records.store import ContentStore
from node.records.stored_queries import QueryPolicy
from node.storage.engine import migrate, open_engine
from node.wire import document_codes
from node.wire.cda import read_document
from node.wire.document_facts import DocumentFacts
from tests.sim.network import SimDirectory, SimLedger

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
CDA = (Path(__file__).resolve().parents[1] / "examples/records/summary.xml").read_bytes()
PERSON = read_document(CDA).patient
THEIR_ID = PatientId(assigning_authority="2.999.2.1", id="Canary-77")
COMMUNITY = Community(
    home_community_id=OUR_HCID, repository_unique_id=REPOSITORY, assigning_authority=AUTHORITY
)
THEIRS = Community(
    home_community_id=soap_world.THEIR_HCID,
    repository_unique_id="2.999.2.2",
    assigning_authority="2.999.2.1",
)
STRANGER = Demographics(
    names=(PersonName(family="Canary-Nobody", given=("Ned",)),),
    birth_date="19010101",
    sex="M",
    identifiers=(THEIR_ID,),
)


def cda(data: bytes = CDA, **changes) -> Outgoing:
    return Outgoing(
        facts=replace(read_document(data), **changes),
        content=content_of(data),
        chunks=in_memory(data),
    )


def note(data: bytes = b"Hello from the ward", number: int = 1, **changes) -> Outgoing:
    type_ = document_codes.type_code("11506-3")
    facts = DocumentFacts(
        patient=replace(PERSON, identifiers=(THEIR_ID,)),
        mime_type="text/plain",
        unique_id=f"2.999.2.9.{number}",
        type_code=type_,
        class_code=document_codes.class_code(type_),
        format_code=document_codes.plain_format(),
        creation_time="20261101",
    )
    return Outgoing(
        facts=replace(facts, **changes), content=content_of(data), chunks=in_memory(data)
    )


class DeliveryWorld:
    """Both sides."""

    def __init__(self, soap: World, peers: SoapPeers, folder: Path) -> None:
        self.soap = soap
        self.peers = peers
        self.engine = open_engine(f"sqlite:///{folder / 'node.db'}")
        migrate(self.engine)
        self.index = RecordIndex(self.engine, COMMUNITY)
        self.store = ContentStore(folder / "records")
        self.spool = folder / "spool"
        self.inbox = FileInbox(self.spool, folder / "shown", max_bytes=4 * 1024 * 1024)
        self.ledger = SimLedger()
        self.opted_out: set[PatientId] = set()
        self.responds = frozenset({"T-TRTMNT"})
        fhir = FhirIndex(self.engine)
        self.records = LocalRecords(
            self.index, self.store, QueryPolicy(home_community_id=OUR_HCID), soap.clock
        )
        admission = Admission(
            own=OwnNode(
                home_community_id=OUR_HCID,
                organization_name="Us Clinic",
                responds=lambda: self.responds,
                repository_unique_id=REPOSITORY,
            ),
            records=self.records,
            purposes=purpose_register(),
            opt_outs=lambda: OptOuts(identifiers=frozenset(self.opted_out)),
        )
        self.recipient = DocumentRecipient(
            admission=admission,
            individuals=IndividualAccess(
                tokens=None, records=self.records, purposes=purpose_register()
            ),
            deliveries=LocalDeliveries(
                index=self.index,
                store=self.store,
                fhir=FhirLoader(fhir, FhirPeople(self.engine), self.index, self.store),
                inbox=self.inbox,
                clock=soap.clock,
                max_bytes=4 * 1024 * 1024,
            ),
            recorder=ServedRecorder(
                own=OUR_HCID, ledger=self.ledger, directory=SimDirectory(), clock=soap.clock
            ),
            clock=soap.clock,
        )

    def knows(self, person: Demographics = PERSON) -> PatientId:
        local_id = self.index.place(person, "seed", NOW)
        return self.index.patient_id(local_id)

    def delivery(self, *documents: Outgoing) -> Delivery:
        return delivery_of(
            documents or (cda(),),
            community=THEIRS,
            principal=self.soap.principal,
            now=NOW,
            new_id=self.soap.clock.new_id,
        )

    async def send(
        self, delivery: Delivery, *, to: HomeCommunityId = OUR_HCID, **call
    ) -> DeliveryAnswer:
        self.trace = Trace()
        peer = replace(self.soap.peer(Transaction.ITI_80), home_community_id=to)
        return await self.peers.deliver(peer, delivery, self.soap.call(**call), self.trace)

    @property
    def left(self) -> list[Path]:
        return list(self.spool.iterdir())


@contextlib.asynccontextmanager
async def delivering(
    us, them, folder: Path, *, limits: MessageLimits | None = None
) -> AsyncIterator[DeliveryWorld]:
    async with running(us, them, limits=limits) as soap, asking(soap) as peers:
        world = DeliveryWorld(soap, peers, folder)
        soap.gateway = replace(soap.gateway, receiving=world.recipient, inbox=world.inbox)
        soap.relay.app = soap_app(soap.gateway)
        try:
            yield world
        finally:
            world.engine.dispose()
