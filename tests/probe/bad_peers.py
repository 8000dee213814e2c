"""Peers that are wrong at one layer each, with real sockets and certificates."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from soap_world import running
from tls_network import NodeIdentity, network_ca

from node.model import DiscoveryAnswer
from trust.keys import KeyKind, generate_key

HOST = "localhost"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"


# --- no TLS -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def refusing(_us) -> AsyncIterator[str]:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # held, not listening: nobody else can take it
        yield address(held.getsockname()[1])


@contextlib.asynccontextmanager
async def unknown_name(_us) -> AsyncIterator[str]:
    yield "https://gateway.nobody.invalid/xcpd"


@contextlib.asynccontextmanager
async def black_hole(_us) -> AsyncIterator[str]:
    """A port whose queue is full: Linux drops what comes."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        await asyncio.sleep(0.05)
        yield address(full.getsockname()[1])


async def _say_nothing(reader, _writer):
    await reader.read()


async def _speak_http(reader, writer):
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nplain HTTP")
    await writer.drain()


async def _hang_up(reader, _writer):
    await reader.read(1)


def talking(handler) -> Callable:
    @contextlib.asynccontextmanager
    async def peer(_us):
        async with _listening(handler, None) as port:
            yield address(port)

    return peer


silent, plain_http, hanging_up = talking(_say_nothing), talking(_speak_http), talking(_hang_up)


# --- TLS and certificates -----------------------------------------------------------------------


def own_context(*, old: bool = False, cipher: str | None = None) -> Callable:
    """The good certificate behind settings that nobody should have any more."""

    @contextlib.asynccontextmanager
    async def peer(us: NodeIdentity):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_file(us))
        if old:
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = ssl.TLSVersion.TLSv1_1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
        if cipher:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(cipher)
        with _alerting(context) as port:
            yield address(port)

    return peer


def showing(
    *,
    dns: str = HOST,
    starts: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=60),
    known: bool = True,
    intermediate: bool = False,
    sends: int = 9,
) -> Callable:
    """A gateway with a certificate of its own; ``sends`` is how much of the chain it shows."""

    @contextlib.asynccontextmanager
    async def peer(us: NodeIdentity):
        issuer = regional_root()
        above: list[x509.Certificate] = []
        if not known:
            issuer = certificate("Unknown Root", None, ca=True)
            above = [issuer[1]]
        if intermediate:
            issuer = certificate("Regional Issuing CA", issuer, ca=True)
            above = [issuer[1], *above]
        key, leaf = certificate("Us Clinic", issuer, dns=dns, starts=starts, ends=ends)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = _file(us).with_name(f"shown-{leaf.serial_number:x}.pem")
        path.write_bytes(pem(key, [leaf, *above][:sends]))
        context.load_cert_chain(path)
        _asks(context, network_ca().certificate)
        async with _listening(scripted(lambda _id: http(b"nothing")), context) as port:
            yield address(port)

    return peer


def client_rules(*, asks: bool = True, accepts: bool = True, newest: bool = True) -> Callable:
    """A gateway that treats our client certificate in its own way."""

    @contextlib.asynccontextmanager
    async def peer(us: NodeIdentity):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_file(us))
        if not newest:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if asks:
            stranger = certificate("Another Root", None, ca=True)[1]
            _asks(context, network_ca().certificate if accepts else stranger)
        if not accepts:
            with _alerting(context) as port:
                yield address(port)
            return
        async with _listening(scripted(nothing_held), context) as port:
            yield address(port)

    return peer


@contextlib.asynccontextmanager
async def closing_after_handshake(us: NodeIdentity):
    async with _listening(_say_no_more, us.server) as port:
        yield address(port)


async def _say_no_more(_reader, writer):
    writer.close()


@contextlib.asynccontextmanager
async def dropping_in_handshake(us: NodeIdentity):
    """TLS 1.2, refuses our certificate, and sends no alert: so do all servers on asyncio."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_file(us))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _asks(context, certificate("Another Root", None, ca=True)[1])
    async with _listening(_say_nothing, context) as port:
        yield address(port)


@cache
def regional_root():
    """The root of one more network CA, which allows intermediates; its key and certificate."""
    return certificate("Regional Root", None, ca=True)


def certificate(name, issuer, *, ca=False, dns="", starts=timedelta(days=-1), ends=None):
    now, key = datetime.now(UTC), generate_key(KeyKind.P_256)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, above = issuer or (key, None)
    public = x509.SubjectKeyIdentifier.from_public_key
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above.subject if above else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + (ends or timedelta(days=60)))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True
        )
        .add_extension(public(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
    )
    if not ca:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        names = x509.SubjectAlternativeName([x509.DNSName(dns)])
        builder = builder.add_extension(usage, critical=False)
        builder = builder.add_extension(names, critical=False)
    return key, builder.sign(signer, hashes.SHA256())


def pem(key, certificates) -> bytes:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join(c.public_bytes(Encoding.PEM) for c in certificates) + private


def _asks(context: ssl.SSLContext, anchor: x509.Certificate) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=anchor.public_bytes(Encoding.PEM).decode())


# --- messages -----------------------------------------------------------------------------------


def answering(answer: Callable[[str], bytes | None]) -> Callable:
    """A gateway with good TLS that answers every POST with ``answer(message id)``."""

    @contextlib.asynccontextmanager
    async def peer(us: NodeIdentity):
        async with _listening(scripted(answer), us.server) as port:
            yield address(port)

    return peer


def scripted(answer: Callable[[str], bytes | None]) -> Callable:
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        body = await reader.readexactly(int(length[1]))
        data = answer(re.search(rb"MessageID[^>]*>([^<]+)<", body)[1].decode())
        if data is None:
            await reader.read()
            return
        writer.write(data)
        await writer.drain()
        if data.endswith(ENDLESS):
            while not writer.transport.is_closing():
                await asyncio.sleep(0.001)  # drain alone does not let the other side run
                writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                await writer.drain()

    return serve


ENDLESS = b"\r\n\r\n1\r\n<\r\n"


def endless(_message_id: str) -> bytes:
    kind = b"Content-Type: application/soap+xml\r\nTransfer-Encoding: chunked"
    return b"HTTP/1.1 200 OK\r\n" + kind + ENDLESS


def cut_off(message_id: str) -> bytes:
    whole = nothing_held(message_id)
    return whole[: len(whole) - 100]


def http(body: bytes, status: str = "200 OK", kind: str = "application/soap+xml") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def envelope(body: str, relates_to: str, *, action: str = "", soap: str = SOAP) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{soap}" xmlns:wsa="{WSA}"><s:Header>'
        f"<wsa:Action>{action}</wsa:Action><wsa:RelatesTo>{relates_to}</wsa:RelatesTo>"
        f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def nothing_held(message_id: str) -> bytes:
    body = (
        '<q:AdhocQueryResponse xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
        'status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"/>'
    )
    return http(envelope(body, message_id, action="urn:ihe:iti:2007:CrossGatewayQueryResponse"))


def fault(code: str, subcode: str = "", namespace: str = WSSE, *, status="500 Error") -> Callable:
    below = f'<s:Subcode><s:Value xmlns:c="{namespace}">c:{subcode}</s:Value></s:Subcode>'
    body = (
        f"<s:Fault><s:Code><s:Value>s:{code}</s:Value>{below if subcode else ''}</s:Code>"
        '<s:Reason><s:Text xml:lang="en">no</s:Text></s:Reason></s:Fault>'
    )
    return lambda message_id: http(envelope(body, message_id), status)


def fault_11(message_id: str) -> bytes:
    body = (
        "<s:Fault><faultcode>s:VersionMismatch</faultcode><faultstring>1.1</faultstring></s:Fault>"
    )
    return http(envelope(body, message_id, soap=SOAP_11), "500 Error", "text/xml")


def envelope_11(message_id: str) -> bytes:
    return http(envelope("<a xmlns='urn:a'/>", message_id, soap=SOAP_11), kind="text/xml")


# --- a real gateway -----------------------------------------------------------------------------


def gateway(them: NodeIdentity, discovery: DiscoveryAnswer | None = None) -> Callable:
    """Our own gateway over a fake of the use cases, which answers what it is told."""

    @contextlib.asynccontextmanager
    async def peer(us: NodeIdentity):
        async with running(us, them) as world:
            world.responding.discovery = discovery
            yield world

    return peer


def address(port: int) -> str:
    return f"https://{HOST}:{port}/xcpd"


def _file(us: NodeIdentity) -> Path:
    return Path(us.path)


@contextlib.contextmanager
def _alerting(context: ssl.SSLContext) -> Iterator[int]:
    """A server that only shakes hands, in a thread: asyncio's never send the alert of a refusal."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(5)
                with contextlib.suppress(OSError), connection:
                    context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@contextlib.asynccontextmanager
async def _listening(handler, context) -> AsyncIterator[int]:
    tasks: set[asyncio.Task] = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # handshakes that fail are the point
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
