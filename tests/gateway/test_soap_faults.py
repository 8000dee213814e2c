"""Every way a request can be wrong, posted to the running gateway: the fault, and the entry."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
from datetime import timedelta

import aiohttp
import pytest
from soap_world import running

from node.errors import NodeError
from node.gateway.limits import MessageLimits
from node.model import Transaction
from node.peers.assertion import AssertionIssuer
from node.wire.addressing import Addressing
from node.wire.faults import FaultCode, parse_fault
from node.wire.names import ANONYMOUS, OPERATIONS
from node.wire.soap import XmlLimits, build_envelope
from node.wire.xml import parse, serialize

ITI_38 = Transaction.ITI_38
QUERY = (
    b'<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
    b'xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
    b'<query:ResponseOption returnComposedObjects="true" returnType="LeafClass"/>'
    b'<rim:AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"/>'
    b"</query:AdhocQueryRequest>"
)
SOAP_TYPE = "application/soap+xml; charset=UTF-8"
WSSE = "oasis-200401-wss-wssecurity-secext-1.0.xsd}"


def signed(
    world, transaction=ITI_38, *, body=QUERY, issuer=None, shift=None, audience=None, **addressing
) -> bytes:
    now = world.clock.now() + shift if shift else world.clock.now()
    header = (issuer or AssertionIssuer(signer=world.them.signer)).sign(
        world.call(),
        audience=audience or world.url(transaction),
        ids=(world.clock.new_id(), world.clock.new_id()),
        now=now,
    )
    properties = {
        "action": OPERATIONS[transaction].request_action,
        "message_id": f"urn:uuid:{world.clock.new_id()}",
        "to": world.url(transaction),
        "reply_to": ANONYMOUS,
    } | addressing
    return build_envelope(addressing=Addressing(**properties), body=body, security=header.octets)


def session_of(world) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=world.them.client))


async def post(
    world, data, *, transaction=ITI_38, content_type=SOAP_TYPE, headers=None, session=None
):
    async with (
        contextlib.nullcontext(session) if session else session_of(world) as opened,
        opened.post(
            world.url(transaction),
            data=data,
            headers={"content-type": content_type, **(headers or {})},
        ) as answer,
    ):
        return answer, await answer.read()


async def fault_of(world, data, **options):
    answer, body = await post(world, data, **options)
    fault = parse_fault(body, limits=XmlLimits())
    assert fault is not None, body[:300]
    assert answer.headers["content-type"].startswith("application/soap+xml")
    return answer.status, fault


async def test_a_good_request_is_answered_strictly(us, them):
    async with running(us, them) as world:
        answer, body = await post(world, signed(world))
    assert answer.status == 200
    assert answer.headers["content-type"] == SOAP_TYPE
    assert b"SignatureConfirmation" in body
    assert b":Success" in body


@pytest.mark.parametrize(
    ("data", "content_type", "status", "reason"),
    [
        (b"", SOAP_TYPE, 400, "request-malformed"),
        (b"not xml", SOAP_TYPE, 400, "request-malformed"),
        (b"<a/>", SOAP_TYPE, 400, "request-malformed"),
        (b"<!DOCTYPE a><a/>", SOAP_TYPE, 400, "request-malformed"),
        (b"<a/>", "", 415, "request-malformed"),
        (b"<a/>", "text/plain", 415, "request-malformed"),
        (b"{}", "application/json", 415, "request-malformed"),
        (b"<a/>", 'multipart/related; type="application/xop+xml"', 415, "request-malformed"),
        (b"--b\r\n\r\n<a/>", 'multipart/related; boundary="b"', 400, "request-malformed"),
        (b"x" * 70_000, SOAP_TYPE, 413, "request-too-large"),
    ],
)
async def test_what_is_no_message_gets_a_sender_fault_and_an_entry(
    us, them, data, content_type, status, reason
):
    async with running(us, them, limits=MessageLimits(body_bytes=64_000)) as world:
        seen, fault = await fault_of(world, data, content_type=content_type)
    assert seen == status
    assert fault.code is FaultCode.SENDER
    assert world.responding.reasons == [reason]


async def test_soap_1_1_gets_version_mismatch(us, them):
    data = (
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><a/></s:Body>'
        b"</s:Envelope>"
    )
    async with running(us, them) as world:
        status, fault = await fault_of(world, data, content_type="text/xml")
    assert (status, fault.code) == (500, FaultCode.VERSION_MISMATCH)


async def test_gzip_is_understood_both_ways_and_a_bomb_is_not(us, them):
    limits = MessageLimits(plain_bytes=200_000, gzip_from=10)
    async with running(us, them, limits=limits) as world:
        answer, body = await post(
            world, gzip.compress(signed(world)), headers={"content-encoding": "gzip"}
        )
        assert answer.status == 200
        assert answer.headers["content-encoding"] == "gzip"  # aiohttp asks for it and decodes it
        assert b":Success" in body
        bomb = gzip.compress(b" " * 50_000_000)
        assert len(bomb) < 60_000
        status, _ = await fault_of(world, bomb, headers={"content-encoding": "gzip"})
        assert status == 413
        status, _ = await fault_of(world, b"junk", headers={"content-encoding": "gzip"})
        assert status == 400
        status, _ = await fault_of(world, b"junk", headers={"content-encoding": "br"})
        assert status == 415


async def test_only_post_is_taken_and_others_are_told_so(us, them):
    async with (
        running(us, them) as world,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=them.client)) as session,
    ):
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD"):
            async with session.request(method, world.url(ITI_38)) as answer:
                assert (answer.status, answer.headers["allow"]) == (405, "POST")
        async with session.post(world.url(ITI_38) + "/other") as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    ("addressing", "subcode", "reason"),
    [
        ({"action": "urn:nothing"}, "ActionNotSupported", "request-malformed"),
        (
            {"action": OPERATIONS[Transaction.ITI_55].request_action},
            "ActionNotSupported",
            "request-malformed",
        ),
        ({"message_id": None}, "MessageAddressingHeaderRequired", "request-malformed"),
        (
            {"reply_to": "https://them.example/callback"},
            "InvalidAddressingHeader",
            "asynchronous-not-supported",
        ),
    ],
)
async def test_addressing_that_cannot_be_answered(us, them, addressing, subcode, reason):
    async with running(us, them) as world:
        status, fault = await fault_of(world, signed(world, **addressing))
    assert status == 400
    assert fault.subcode is not None
    assert fault.subcode.endswith("}" + subcode)
    if subcode == "InvalidAddressingHeader":
        assert str(fault.inner_subcode).endswith("}OnlyAnonymousAddressSupported")
    assert world.responding.reasons == [reason]


async def refused(world, data) -> str:
    status, fault = await fault_of(world, data)
    assert status == 400
    assert fault.code is FaultCode.SENDER
    assert fault.subcode is not None
    assert WSSE in fault.subcode or fault.subcode.endswith("}MessageExpired")
    return fault.reason


async def test_the_saml_matrix_every_bad_assertion_is_a_fault(us, them, identities):
    """NIST 17.1 on the wire: the fault names no check, the ledger does."""
    stranger = identities("other.example")
    async with running(us, them) as world:
        good = signed(world)
        texts = [
            await refused(world, signed(world, shift=timedelta(hours=-1))),
            await refused(world, signed(world, shift=timedelta(hours=1))),
            await refused(world, good.replace(b"Grace Hopper", b"Grace Bopper")),
            await refused(world, re.sub(rb"<wsse:Security .*</wsse:Security>", b"", good)),
            await refused(world, signed(world, audience="https://elsewhere.example/xca")),
            await refused(world, signed(world, issuer=AssertionIssuer(signer=stranger.signer))),
        ]
        accepted, _ = await post(world, good)
        replayed = await refused(world, good)
    assert accepted.status == 200
    assert world.responding.reasons == [
        "assertion-expired",
        "assertion-not-yet-valid",
        "signature-invalid",
        "security-missing",
        "assertion-audience",
        "saml-signer-key-not-bound",
        "replay",
    ]
    assert not any(word in "".join([*texts, replayed]) for word in ("replay", "pin", "Bopper"))


@pytest.mark.shared
async def test_hostile_messages_get_their_fault_and_the_gateway_lives(us, them, shared_data):
    """Law 7 and point 11: bounded, refused with a fault, and the next request is served."""
    files = sorted(path for path in (shared_data / "xml-attacks").iterdir() if path.is_file())
    assert len(files) >= 16
    async with running(us, them) as world:
        for path in files:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            content_type = SOAP_TYPE
            if path.suffix == ".txt":
                content_type = 'multipart/related; type="application/xop+xml"; boundary="b"'
            async with asyncio.timeout(10):
                status, fault = await fault_of(world, data, content_type=content_type)
            assert status in (400, 413, 415), path.name
            assert fault.code is FaultCode.SENDER, path.name
            assert b"root:" not in fault.reason.encode()
        assert len(world.responding.entries) == len(files)
        answer, _ = await post(world, signed(world))
        assert answer.status == 200


@pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning")
@pytest.mark.shared
async def test_messages_of_real_gateways_never_break_ours(us, them, shared_data):
    """None proves a sender we know: each gets a fault of the sender, never an error of ours."""
    files = sorted(path for path in (shared_data / "ihe-soap").rglob("*") if path.is_file())
    assert len(files) > 100
    async with running(us, them) as world, session_of(world) as session:
        for transaction in Transaction:
            for path in files:
                data = path.read_bytes()
                content_type = SOAP_TYPE
                found = re.match(rb"--([^\r\n]+)", data)
                if found:
                    boundary = found[1].decode()
                    content_type = f'multipart/related; boundary="{boundary}"'
                answer, body = await post(
                    world,
                    data,
                    transaction=transaction,
                    content_type=content_type,
                    session=session,
                )
                fault = parse_fault(body, limits=XmlLimits())
                assert fault is not None, path.name
                assert fault.code is not FaultCode.RECEIVER, path.name
                assert answer.status in (400, 415) or fault.code in (
                    FaultCode.VERSION_MISMATCH,
                    FaultCode.MUST_UNDERSTAND,
                ), path.name
        assert len(world.responding.entries) == len(Transaction) * len(files)


@pytest.mark.shared
async def test_bodies_of_real_gateways_under_a_good_signature_are_answered(us, them, shared_data):
    """The body parsers behind authentication: an answer or a fault of the sender, nothing else."""
    answered = dict.fromkeys(Transaction, 0)
    async with running(us, them) as world, session_of(world) as session:
        for path in sorted((shared_data / "ihe-soap").rglob("*.xml")):
            with contextlib.suppress(NodeError):
                root = parse(path.read_bytes())
                for transaction, operation in OPERATIONS.items():
                    for body in root.iter(operation.request):
                        _, text = await post(
                            world,
                            signed(world, transaction, body=serialize(body)),
                            transaction=transaction,
                            session=session,
                        )
                        fault = parse_fault(text, limits=XmlLimits())
                        assert fault is None or fault.code is FaultCode.SENDER, path.name
                        answered[transaction] += fault is None
    assert answered[Transaction.ITI_55] > 0
    assert answered[Transaction.ITI_38] > 0


@pytest.mark.shared
async def test_wrapped_and_tampered_assertions_are_all_refused(us, them, shared_data):
    folder = shared_data / "saml" / "xsw-xua-soap"
    files = sorted(folder.glob("*.xml"))
    assert len(files) > 20
    async with running(us, them) as world:
        for path in files:
            status, fault = await fault_of(world, path.read_bytes(), transaction=Transaction.ITI_39)
            assert (status, fault.code) == (400, FaultCode.SENDER), path.name
        assert len(world.responding.reasons) == len(files)


async def test_a_slow_body_is_cut_off_with_an_answer(us, them):
    async with running(us, them, limits=MessageLimits(body=0.3, linger=0.1)) as world:
        reader, writer = await asyncio.open_connection(
            *world.address, ssl=them.client, server_hostname="localhost"
        )
        writer.write(
            b"POST /xca/query HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n"
            b"content-type: application/soap+xml\r\n\r\n<a"
        )
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert world.responding.reasons == ["request-slow"]


async def test_a_sender_of_too_much_can_read_the_refusal(us, them):
    """It keeps sending while we answer; a reset connection would lose the fault."""
    async with running(us, them, limits=MessageLimits(body_bytes=10_000)) as world:

        async def endless():
            for _ in range(200):
                yield b" " * 10_000

        status, fault = await fault_of(world, endless())
    assert status == 413
    assert fault.code is FaultCode.SENDER
