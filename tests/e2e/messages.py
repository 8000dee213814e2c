"""Requests made by hand for a running node: signed by whom we like, posted over mutual TLS."""

from __future__ import annotations

import http.client
import re
import ssl
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from node_network import ARC, BORN, FAMILY, GIVEN, TREATMENT, Site, now

from node.exchange.ports import Call
from node.exchange.questions import DocumentSearch, find_documents_query
from node.identity import Role, network_anchors, saml_signer, tls_identity
from node.model import (
    Code,
    Demographics,
    DocumentRef,
    HomeCommunityId,
    PatientId,
    PatientQuery,
    PersonName,
    Principal,
    Transaction,
)
from node.peers.assertion import AssertionIssuer, SignedHeader
from node.policy.purposes import purpose_register
from node.wire.addressing import Addressing
from node.wire.content_type import soap_content_type
from node.wire.faults import Fault, parse_fault
from node.wire.hl7v3 import InstanceId
from node.wire.identifiers import bare_oid
from node.wire.names import ANONYMOUS, OPERATIONS
from node.wire.retrieve import build_retrieve_request
from node.wire.soap import Envelope, XmlLimits, build_envelope, parse_envelope
from node.wire.stored_query import build_adhoc_query
from node.wire.timestamps import instant
from node.wire.xcpd_message import DiscoveryRequest
from node.wire.xcpd_request import build_discovery_request
from node.wire.xml import serialize
from trust.anchors import authorised
from trust.signer import Signer
from trust.tls import client_context
from trust.usages import Usage

LIMITS = XmlLimits()
PERSON = Demographics(names=(PersonName(family=FAMILY, given=(GIVEN,)),), birth_date=BORN, sex="F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def fault(self) -> Fault:
        found = parse_fault(self.body, limits=LIMITS)
        assert found is not None, self.body[:400]
        return found

    @property
    def envelope(self) -> Envelope:
        return parse_envelope(self.body, limits=LIMITS)


def principal(by: Site, *, purpose: str = TREATMENT, organization_id: str | None = None):
    chosen = purpose_register().by_code(purpose)
    code = chosen.code if chosen else Code(code=purpose, scheme=purpose_register().system)
    return Principal(
        subject_id="Dr Sample",
        user_id="sample@asker.example",
        organization=by.settings.node.name,
        organization_id=organization_id or by.oid,
        home_community_id=by.hcid,
        role=Code(code="112247003", scheme="2.16.840.1.113883.6.96", display="Medical doctor"),
        purpose=code,
    )


def new_message_id() -> str:
    return f"urn:uuid:{uuid.uuid4()}"


def header(
    by: Site,
    to: Site,
    transaction: Transaction,
    *,
    who: Principal | None = None,
    at: datetime | None = None,
    signer: Signer | None = None,
    holder: Signer | None = None,
    patient_id: PatientId | None = None,
) -> SignedHeader:
    """A Security header that ``by`` makes, unless another signer is named."""
    issuer = AssertionIssuer(
        signer=signer or signer_of(by),
        holder=holder,
        lifetime=timedelta(minutes=5),
    )
    call = Call(message_id="", principal=who or principal(by), timeout=10, patient_id=patient_id)
    return issuer.sign(
        call,
        audience=to.url(transaction),
        ids=(str(uuid.uuid4()), str(uuid.uuid4())),
        now=at or now(),
    )


def envelope(
    to: Site, transaction: Transaction, body: bytes, security: bytes, message_id: str | None = None
) -> bytes:
    return build_envelope(
        addressing=Addressing(
            action=OPERATIONS[transaction].request_action,
            message_id=message_id or new_message_id(),
            to=to.url(transaction),
            reply_to=ANONYMOUS,
        ),
        body=body,
        security=security,
    )


def discovery(by: Site, *, target: str | None = None, person: Demographics = PERSON) -> bytes:
    """The body of ITI-55."""
    own = bare_oid(by.hcid)
    home = HomeCommunityId(target or f"urn:oid:{ARC}.2")
    request = DiscoveryRequest(
        message_id=InstanceId(root=own, extension=str(uuid.uuid4())),
        query_id=InstanceId(root=own, extension=str(uuid.uuid4())),
        query=PatientQuery(demographics=person, target=home),
        creation_time=instant(now()),
        sender_device=own,
        sender=by.hcid,
        receiver_device=bare_oid(home),
        receiver=home,
    )
    return serialize(build_discovery_request(request))


def find_documents(patient: PatientId, home: HomeCommunityId) -> bytes:
    """The body of ITI-38."""
    return serialize(build_adhoc_query(find_documents_query(patient, home, DocumentSearch())))


def retrieve(*refs: DocumentRef) -> bytes:
    """The body of ITI-39."""
    return serialize(build_retrieve_request(refs))


def post(
    by: Site | None,
    url: str,
    data: bytes,
    *,
    content_type: str = "application/soap+xml; charset=UTF-8",
    context: ssl.SSLContext | None = None,
    seconds: float = 30,
) -> Answer:
    """Send bytes with the TLS client certificate of ``by``."""
    where = urlsplit(url)
    connection = http.client.HTTPSConnection(
        where.hostname or "", where.port, timeout=seconds, context=context or tls_of(by)
    )
    try:
        connection.request("POST", where.path, body=data, headers={"Content-Type": content_type})
        answer = connection.getresponse()
        return Answer(status=answer.status, body=answer.read())
    finally:
        connection.close()


_signers: dict[str, Signer] = {}
_contexts: dict[str, ssl.SSLContext] = {}


def signer_of(by: Site) -> Signer:
    """The key that signs a site's assertions, opened once: that takes long."""
    name = str(by.home.path)
    if name not in _signers:
        _signers[name] = saml_signer(by.home, by.settings)
    return _signers[name]


def tls_of(by: Site | None) -> ssl.SSLContext:
    """The client context of a site, made once."""
    assert by is not None
    name = str(by.home.path)
    if name not in _contexts:
        anchors = authorised(network_anchors(by.home))[Usage.TLS_SERVER]
        _contexts[name] = client_context(tls_identity(by.home, by.settings, Role.CLIENT), anchors)
    return _contexts[name]


def ask(
    by: Site,
    to: Site,
    transaction: Transaction,
    body: bytes,
    *,
    message_id: str | None = None,
    tls: Site | None = None,
    **signing,
) -> Answer:
    """One signed request, posted; ``tls`` is whose connection it is, by default the signer's."""
    security = header(by, to, transaction, **signing).octets
    data = envelope(to, transaction, body, security, message_id)
    return post(
        tls or by,
        to.url(transaction),
        data,
        content_type=soap_content_type(OPERATIONS[transaction].request_action),
    )


def response_code(answer: Answer) -> str:
    """queryResponseCode of an answer to ITI-55."""
    assert answer.status == 200, answer.body[:400]
    (code,) = re.findall(rb'queryResponseCode[^>]*code="(\w+)"', answer.body)
    return str(code, "ascii")
