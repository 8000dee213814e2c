"""Requests signed beforehand: each with an assertion of its own, as a responder meets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.clock import SystemClock
from node.exchange.ports import Call
from node.exchange.questions import DocumentSearch, find_documents_query
from node.model import DocumentRef, PatientId, PatientQuery, Transaction
from node.own_entry import address
from node.peers.assertion import AssertionIssuer
from node.wire.addressing import Addressing
from node.wire.content_type import soap_content_type
from node.wire.hl7v3 import InstanceId
from node.wire.identifiers import bare_oid
from node.wire.mtom_writer import MtomWriter
from node.wire.names import ANONYMOUS, OPERATIONS
from node.wire.retrieve import build_retrieve_request
from node.wire.soap import build_envelope
from node.wire.stored_query import build_adhoc_query
from node.wire.timestamps import instant
from node.wire.xcpd_message import DiscoveryRequest
from node.wire.xcpd_request import build_discovery_request
from node.wire.xml import serialize
from tests.bench.homes import Pair
from tests.bench.people import asked

_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One HTTP request: the path, the Content-Type, the body."""

    path: str
    content_type: str
    body: bytes


Make = Callable[[], Prepared]


class Questions:
    """Makes requests of the asking node to the answering one."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._issuer = AssertionIssuer(signer=pair.asking.signer)
        self._principal = pair.asking.principal
        self._clock = SystemClock()

    def discovery(self, number: int) -> Prepared:
        """ITI-55 about person ``number``; all that is known of them (QTF-708)."""
        asking, answering = self._pair.asking, self._pair.answering
        own = bare_oid(asking.home_community_id)
        request = DiscoveryRequest(
            message_id=InstanceId(root=own, extension=self._clock.new_id()),
            query_id=InstanceId(root=own, extension=self._clock.new_id()),
            query=PatientQuery(demographics=asked(number), target=answering.home_community_id),
            creation_time=instant(self._clock.now()),
            sender_device=own,
            sender=asking.home_community_id,
            receiver_device=bare_oid(answering.home_community_id),
            receiver=answering.home_community_id,
        )
        body = serialize(build_discovery_request(request))
        return self._signed(Transaction.ITI_55, body, None)

    def documents(self, number: int) -> Prepared:
        """ITI-38: FindDocuments about person ``number``."""
        patient_id = self._pair.answering.patient_id(number)
        home = self._pair.answering.home_community_id
        query = find_documents_query(patient_id, home, DocumentSearch())
        return self._signed(Transaction.ITI_38, serialize(build_adhoc_query(query)), patient_id)

    def retrieve(self, size: int) -> Prepared:
        """ITI-39: the document of a size."""
        body = serialize(build_retrieve_request([self.ref(size)]))
        return self._signed(Transaction.ITI_39, body, None)

    def ref(self, size: int) -> DocumentRef:
        """The ids of the document of a size."""
        node = self._pair.answering.settings.node
        return DocumentRef(
            home_community_id=self._pair.answering.home_community_id,
            repository_unique_id=node.repository_unique_id,
            document_unique_id=self._pair.documents[size],
        )

    def _signed(
        self, transaction: Transaction, body: bytes, patient_id: PatientId | None
    ) -> Prepared:
        settings, operation = self._pair.answering.settings, OPERATIONS[transaction]
        url = address(settings, transaction)
        message_id = f"urn:uuid:{self._clock.new_id()}"
        header = self._issuer.sign(
            Call(
                message_id=message_id,
                principal=self._principal,
                timeout=_SECONDS,
                patient_id=patient_id,
            ),
            audience=url,
            ids=(self._clock.new_id(), self._clock.new_id()),
            now=self._clock.now(),
        )
        soap = build_envelope(
            addressing=Addressing(
                action=operation.request_action, message_id=message_id, to=url, reply_to=ANONYMOUS
            ),
            body=body,
            security=header.octets,
        )
        path = url.removeprefix(settings.listen.public_url)
        if not operation.mtom:
            return Prepared(
                path=path, content_type=soap_content_type(operation.request_action), body=soap
            )
        stamp = self._clock.new_id()
        writer = MtomWriter(
            boundary=f"node-{stamp}", root_cid=f"soap-{stamp}@node", action=operation.request_action
        )
        return Prepared(
            path=path, content_type=writer.content_type, body=writer.head(soap) + writer.tail()
        )
