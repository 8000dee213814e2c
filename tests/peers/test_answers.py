"""Peers that misbehave, over real TLS: each way has its own code, or is tolerated and counted."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import re
import socket

import pytest
from soap_world import (
    OUR_HCID,
    REPOSITORY,
    THEIR_HCID,
    FakeResponding,
    TestClock,
    World,
    gateway_of,
    ref,
    their_facts,
)
from test_soap_exchange import FIND_DOCUMENTS, person
from tls_network import network_ca

from node.errors import AnswerError, LimitError, NetworkFault, NodeError, TheirFault, WireError
from node.exchange.ports import Trace
from node.model import Peer, ResponseStatus
from node.peers.answer import AnswerLimits
from node.peers.assertion import AssertionIssuer
from node.peers.breaker import BreakerRules, Breakers, State
from node.peers.inbox import FileInbox
from node.peers.pool import PoolLimits, open_pool
from node.peers.server_trust import bound_server
from node.peers.soap_client import Caller, SoapPeers
from tests.anchors import anchor_of
from trust.binder import Binder
from trust.binding import OrganizationTrust

SOAP = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"
SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
CONTENT = b"<ClinicalDocument xmlns='urn:hl7-org:v3'>made up</ClinicalDocument>"


def envelope(body: str, relates_to: str, *, action: str = "") -> bytes:
    head = f"<wsa:Action>{action}</wsa:Action>" if action else ""
    return (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:wsa="{WSA}"><s:Header>{head}'
        f"<wsa:RelatesTo>{relates_to}</wsa:RelatesTo></s:Header><s:Body>{body}</s:Body>"
        "</s:Envelope>"
    ).encode()


def found_nothing(relates_to: str) -> bytes:
    return envelope(
        '<q:AdhocQueryResponse xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
        f'status="{SUCCESS}"/>',
        relates_to,
    )


def documents(relates_to: str, *contents: str, unique_ids: tuple[str, ...] = ("1.2.3.1",)) -> bytes:
    responses = "".join(
        f"<i:DocumentResponse><i:HomeCommunityId>{OUR_HCID}</i:HomeCommunityId>"
        f"<i:RepositoryUniqueId>{REPOSITORY}</i:RepositoryUniqueId>"
        f"<i:DocumentUniqueId>{unique_id}</i:DocumentUniqueId><i:mimeType>text/xml</i:mimeType>"
        f"<i:Document>{content}</i:Document></i:DocumentResponse>"
        for content, unique_id in zip(contents, unique_ids, strict=True)
    )
    return envelope(
        '<i:RetrieveDocumentSetResponse xmlns:i="urn:ihe:iti:xds-b:2007">'
        '<r:RegistryResponse xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0" '
        f'status="{SUCCESS}"/>{responses}</i:RetrieveDocumentSetResponse>',
        relates_to,
    )


def include(content_id: str) -> str:
    return f'<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:{content_id}"/>'


def mime(*parts: tuple[str, str, bytes]) -> bytes:
    body = b""
    for content_id, kind, data in parts:
        head = f"--b\r\ncontent-id: <{content_id}>\r\nCONTENT-TYPE: {kind}\r\n\r\n"
        body += head.encode() + data + b"\r\n"
    return body + b"--b--\r\n"


ROOT = 'application/xop+xml; charset=UTF-8; type="application/soap+xml"'
MTOM = 'multipart/related; type="application/xop+xml"; start="<root>"; boundary="b"'


def http(
    body: bytes, *, status: str = "200 OK", kind: str = "application/soap+xml", extra: str = ""
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    )
    return head.encode() + body


@contextlib.asynccontextmanager
async def misbehaving(us, answer, *, context=None, host="127.0.0.1"):
    """A TLS server that reads one request and writes ``answer(message_id)``; counts requests."""
    seen: list[bytes] = []
    tasks: set[asyncio.Task] = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
                body = await reader.readexactly(length)
                seen.append(head + body)
                message_id = re.search(rb"MessageID[^>]*>([^<]+)<", body)[1].decode()
                data = answer(message_id)
                if asyncio.iscoroutine(data):
                    data = await data
                if data is None:
                    break
                writer.write(data)
                await writer.drain()
                if b"close" in data[:200]:
                    break
        writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=context or us.server)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Asking:
    """A client of ``them`` and one address."""

    def __init__(self, us, them, address: str, session, **options):
        gateway, _, _ = gateway_of(us, their_facts(them), FakeResponding())
        self.world = World(
            us, them, their_facts(them), FakeResponding(), None, TestClock(), gateway
        )
        self.peer = Peer(
            organization_id="us", home_community_id=OUR_HCID, name="Us", address=address
        )
        self.trace = Trace()
        self.peers = SoapPeers(
            session=session,
            issuer=AssertionIssuer(signer=them.signer),
            own=Caller(home_community_id=THEIR_HCID),
            clock=self.world.clock,
            **options,
        )

    async def find(self, **call):
        return await self.peers.find(self.peer, FIND_DOCUMENTS, self.world.call(**call), self.trace)

    async def retrieve(self, inbox, *unique_ids):
        refs = [ref(unique_id) for unique_id in unique_ids or ("1.2.3.1",)]
        return await self.peers.retrieve(self.peer, refs, self.world.call(), self.trace, inbox)


@contextlib.asynccontextmanager
async def asking(us, them, address, *, context=None, limits=None, **options):
    async with open_pool(context or them.client, limits=limits) as session:
        yield Asking(us, them, address, session, **options)


FAULT = f'<s:Fault xmlns:s="{SOAP}"><s:Code><s:Value>s:Sender</s:Value>%s</s:Code></s:Fault>'
SECURITY = (
    '<s:Subcode><s:Value xmlns:w="http://docs.oasis-open.org/wss/2004/01/'
    'oasis-200401-wss-wssecurity-secext-1.0.xsd">w:FailedAuthentication</s:Value></s:Subcode>'
)
SOAP_11 = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
    b"<faultcode>s:Server</faultcode><faultstring>Newman, Alice</faultstring></s:Fault></s:Body>"
    b"</s:Envelope>"
)


@pytest.mark.parametrize(
    ("answer", "code", "kind"),
    [
        (lambda m: http(b""), "empty-answer", NetworkFault),
        (lambda m: http(b"", status="202 Accepted"), "answer-asynchronous", TheirFault),
        (
            lambda m: http(b"", status="302 Found", extra="location: https://evil.example/\r\n"),
            "answer-redirected",
            TheirFault,
        ),
        (lambda m: http(b"Bad", status="400 Bad Request"), "answer-not-soap", AnswerError),
        (lambda m: http(b"Bad", kind="text/plain"), "answer-not-soap", AnswerError),
        (lambda m: http(b"", status="500 Error"), "answer-not-soap", AnswerError),
        (
            lambda m: http(b"<html/>", status="503 Unavailable", kind="text/html"),
            "peer-unavailable",
            NetworkFault,
        ),
        (lambda m: http(envelope(FAULT % "", m)), "soap-fault", AnswerError),
        (
            lambda m: http(envelope(FAULT % "", m), status="500 Error"),
            "soap-fault",
            AnswerError,
        ),
        (
            lambda m: http(envelope(FAULT % SECURITY, m), status="400 Bad"),
            "peer-refused-identity",
            AnswerError,
        ),
        (lambda m: http(SOAP_11, kind="text/xml"), "soap-fault", AnswerError),
        (lambda m: http(b"<a"), "xml-malformed", WireError),
        (lambda m: http(b"<!DOCTYPE a><a/>"), "xml-doctype", WireError),
        (lambda m: http(envelope("<a/>", m)), "query-answer-invalid", WireError),
        (lambda m: http(found_nothing("urn:uuid:other")), "addressing-mismatch", WireError),
        (lambda m: None, "reset", NetworkFault),
        (lambda m: http(found_nothing(m))[:-20] + b"", "timeout", NetworkFault),
        (
            lambda m: b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\nconnection: close\r\n\r\nx",
            "reset",
            NetworkFault,
        ),
        (lambda m: b"junk\r\n\r\n", "answer-http-invalid", TheirFault),
        (
            lambda m: http(b"junk", extra="content-encoding: gzip\r\n"),
            "content-coding-invalid",
            WireError,
        ),
        (
            lambda m: http(b"junk", extra="content-encoding: br\r\n"),
            "content-coding-unsupported",
            WireError,
        ),
        (
            lambda m: http(gzip.compress(b" " * 40_000_000), extra="content-encoding: gzip\r\n"),
            "mtom-limit",
            LimitError,
        ),
        (lambda m: http(b" " * 2_000_000), "mtom-limit", LimitError),
        (
            lambda m: http(mime(("root", ROOT, b"<a/>"))[:-8], kind=MTOM),
            "mtom-malformed",
            WireError,
        ),
    ],
)
async def test_what_is_no_answer_has_its_code(us, them, answer, code, kind):
    limits = AnswerLimits(soap_bytes=1_000_000, total_bytes=60_000_000)
    pool = PoolLimits(silence=0.5)
    seen, family, trace = await code_of(us, them, answer, limits, pool)
    assert (seen, family) == (code, kind)
    assert trace.evidence.peer_key == us.pin
    assert trace.evidence.assertion_id
    assert trace.evidence.request_digest


async def code_of(us, them, answer, answer_limits, pool):
    async with (
        misbehaving(us, answer) as (port, _),
        open_pool(them.client, limits=pool) as session,
    ):
        client = Asking(us, them, f"https://localhost:{port}/x", session, limits=answer_limits)
        with pytest.raises(NodeError) as raised:
            await client.find(timeout=5)
    assert "Alice" not in str(raised.value)
    assert "Alice" not in str(raised.value.detail)
    return raised.value.code, type(raised.value), client.trace


async def test_who_cannot_be_reached(us, them, identities):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for address, code in (
            (f"https://localhost:{port}/x", "connect-refused"),
            ("https://no-such-host.invalid/x", "dns"),
            ("http://localhost/x", "address-invalid"),
            ("https://user@localhost/x", "address-invalid"),
            ("nonsense", "address-invalid"),
            ("", "address-invalid"),
        ):
            async with asking(us, them, address) as client:
                with pytest.raises(NodeError) as raised:
                    await client.find()
            assert raised.value.code == code, address


async def test_a_server_with_another_name_or_authority_is_refused(us, them, identities):
    stranger = identities("stranger.example", stranger=True)
    async with (
        misbehaving(us, lambda m: None, host="127.0.0.2") as (port, seen),
        asking(us, them, f"https://127.0.0.2:{port}/x") as client,
    ):
        with pytest.raises(NetworkFault) as raised:
            await client.find()
        assert raised.value.code == "tls-failed"
        assert "host-name-mismatch" in str(raised.value.detail)
        assert seen == []
    async with (
        misbehaving(us, lambda m: None, context=stranger.server) as (port, seen),
        asking(us, them, f"https://localhost:{port}/x") as client,
    ):
        with pytest.raises(NetworkFault) as raised:
            await client.find()
        assert raised.value.code == "tls-failed"
        assert seen == []


async def test_a_peer_that_does_not_trust_our_certificate_says_so(us, them, identities):
    stranger = identities("stranger.example", stranger=True)
    async with (
        misbehaving(us, lambda m: http(found_nothing(m))) as (port, _),
        asking(us, them, f"https://localhost:{port}/x", context=stranger.client) as client,
    ):
        with pytest.raises(NetworkFault) as raised:
            await client.find()
    assert raised.value.code in ("tls-refused", "reset")


@pytest.mark.parametrize("pins", ["right", "wrong"])
async def test_pins_are_looked_at_on_every_connection_before_anything_is_sent(us, them, pins):
    trust = OrganizationTrust(
        organization_id="us", pins=frozenset({us.pin if pins == "right" else them.pin})
    )
    clock = TestClock()
    judge = bound_server(
        lambda _peer: trust,
        Binder((anchor_of(network_ca().certificate),), allow_unpinned=False),
        clock.now,
    )
    async with (
        misbehaving(us, lambda m: http(found_nothing(m))) as (port, seen),
        asking(us, them, f"https://localhost:{port}/x", judge_server=judge) as client,
    ):
        for _ in range(2):
            if pins == "right":
                assert (await client.find()).status is ResponseStatus.SUCCESS
            else:
                with pytest.raises(TheirFault) as raised:
                    await client.find()
                assert raised.value.code == "peer-not-bound"
    assert len(seen) == (2 if pins == "right" else 0)


async def test_the_circuit_opens_after_failures_of_the_network_only(us, them):
    breakers = Breakers(BreakerRules(threshold=2))
    async with (
        misbehaving(us, lambda m: http(b"x", status="400 Bad")) as (port, _),
        asking(us, them, f"https://localhost:{port}/x", breakers=breakers) as client,
    ):
        for _ in range(3):
            with pytest.raises(AnswerError):
                await client.find()
    assert breakers.state("us") is State.CLOSED
    async with (
        misbehaving(us, lambda m: http(b"")) as (port, seen),
        asking(us, them, f"https://localhost:{port}/x", breakers=breakers) as client,
    ):
        codes = []
        for _ in range(4):
            with pytest.raises(NetworkFault) as raised:
                await client.find()
            codes.append(raised.value.code)
    assert codes == ["empty-answer"] * 2 + ["circuit-open"] * 2
    assert len(seen) == 2


async def test_tolerated_deviations_of_an_answer_are_counted(us, them):
    async with (
        misbehaving(
            us, lambda m: http(found_nothing(m.removeprefix("urn:uuid:")), status="201 C")
        ) as (port, _),
        asking(us, them, f"https://localhost:{port}/x") as client,
    ):
        assert (await client.find()).status is ResponseStatus.SUCCESS
    assert {"relates-to-form", "message-id-missing", "action-missing", "http-status"} <= set(
        client.trace.evidence.deviations
    )


SHAPES = {
    "parts-before-root": (
        lambda m: mime(("d1", "text/xml", CONTENT), ("root", ROOT, documents(m, include("d1")))),
        MTOM,
        CONTENT,
        set(),
    ),
    "percent-encoded-cid": (
        lambda m: mime(
            ("root", ROOT, documents(m, include("urn%3Ad%401"))), ("urn:d@1", "text/xml", CONTENT)
        ),
        MTOM,
        CONTENT,
        set(),
    ),
    "unreferenced-part": (
        lambda m: mime(
            ("root", ROOT, documents(m, include("d1"))),
            ("d0", "text/xml", b"nobody's"),
            ("d1", "text/xml", CONTENT),
        ),
        MTOM,
        CONTENT,
        set(),
    ),
    "inline-in-one-part": (
        lambda m: mime(("root", ROOT, documents(m, base64.b64encode(CONTENT).decode()))),
        MTOM,
        CONTENT,
        {"document-inline"},
    ),
    "inline-without-mtom": (
        lambda m: documents(m, base64.b64encode(CONTENT).decode()),
        "application/soap+xml",
        CONTENT,
        {"document-inline", "mtom-not-used"},
    ),
    "not-encoded": (
        lambda m: documents(m, "&lt;a&gt;made up&lt;/a&gt;"),
        "application/soap+xml",
        b"<a>made up</a>",
        {"document-inline", "document-unencoded", "mtom-not-used"},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_documents_in_every_tolerated_shape_reach_the_inbox(
    us, them, tmp_path, shape, coding
):
    make, kind, expected, deviations = SHAPES[shape]
    inbox = FileInbox(tmp_path / "spool", tmp_path / "shown")

    def answer(message_id):
        body = make(message_id)
        if coding == "gzip":
            return http(gzip.compress(body), kind=kind, extra="content-encoding: gzip\r\n")
        return http(body, kind=kind)

    async with (
        misbehaving(us, answer) as (port, seen),
        asking(us, them, f"https://localhost:{port}/x") as client,
    ):
        found = await client.retrieve(inbox)
    (document,) = found.documents
    assert document.sha256 == hashlib.sha256(expected).hexdigest()
    assert deviations <= set(client.trace.evidence.deviations)
    assert len(list((tmp_path / "spool").iterdir())) == 1, "what nobody claimed is deleted"
    assert b"multipart/related" in seen[0], "our request is MTOM"


async def test_a_document_nobody_asked_for_is_not_kept(us, them, tmp_path):
    inbox = FileInbox(tmp_path / "spool", tmp_path / "shown")

    def answer(message_id):
        content = documents(
            message_id, include("d1"), include("d2"), unique_ids=("9.9.9", "1.2.3.1")
        )
        return http(
            mime(("root", ROOT, content), ("d1", "a/b", b"foreign"), ("d2", "a/b", CONTENT)),
            kind=MTOM,
        )

    async with (
        misbehaving(us, answer) as (port, _),
        asking(us, them, f"https://localhost:{port}/x") as client,
    ):
        found = await client.retrieve(inbox)
    assert [d.ref.document_unique_id for d in found.documents] == ["1.2.3.1"]
    assert "document-unrequested" in client.trace.evidence.deviations
    assert len(list((tmp_path / "spool").iterdir())) == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda m: http(
            mime(("root", ROOT, documents(m, include("d9"))), ("d1", "a/b", CONTENT)), kind=MTOM
        ),
        lambda m: http(
            mime(("d1", "a/b", CONTENT), ("root", ROOT, documents(m, include("d1"))))[:-30],
            kind=MTOM,
        ),
        lambda m: http(
            mime(("d1", "a/b", CONTENT), ("root", ROOT, envelope(FAULT % "", m))), kind=MTOM
        ),
    ],
    ids=["missing-part", "cut-off", "fault-with-parts"],
)
async def test_after_a_failure_nothing_is_left_in_the_inbox(us, them, tmp_path, answer):
    inbox = FileInbox(tmp_path / "spool", tmp_path / "shown")
    async with (
        misbehaving(us, answer) as (port, _),
        asking(us, them, f"https://localhost:{port}/x") as client,
    ):
        with pytest.raises(NodeError):
            await client.retrieve(inbox)
    assert list((tmp_path / "spool").iterdir()) == []


async def test_discovery_names_the_node_that_is_asked(us, them):
    async with (
        misbehaving(us, lambda m: http(b"")) as (port, seen),
        asking(us, them, f"https://localhost:{port}/x") as client,
    ):
        with pytest.raises(NetworkFault):
            await client.peers.discover(client.peer, person(), client.world.call(), client.trace)
    assert OUR_HCID.removeprefix("urn:oid:").encode() in seen[0]
