"""The listener over real sockets and real TLS: certificates, time limits, size limits."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from node.errors import OurFault
from node.gateway.limits import ConnectionLimits
from node.gateway.protocol import peer_of
from node.gateway.server import serving

CHUNK = b"x" * 65536


def application(state: dict | None = None) -> Starlette:
    seen = state if state is not None else {}

    async def who(request):
        peer = peer_of(request.scope)
        if peer is None:
            return PlainTextResponse("nobody")
        return JSONResponse(
            {
                "certificate": peer.certificates.leaf_der.hex(),
                "key": peer.key,
                "version": peer.version,
                "cipher": peer.cipher,
                "standard": sorted(request.scope["extensions"]["tls"]),
                "pem": request.scope["extensions"]["tls"]["client_cert_chain"][0][:27],
            }
        )

    async def echo(request):
        return PlainTextResponse(str(len(await request.body())))

    async def slow(_request):
        seen["started"] = True
        await asyncio.sleep(seen.get("sleep", 30))
        return PlainTextResponse("late")

    async def large(_request):
        async def chunks():
            try:
                for _ in range(4000):
                    seen["sent"] = seen.get("sent", 0) + len(CHUNK)
                    yield CHUNK
            finally:
                seen["closed"] = True

        return StreamingResponse(chunks())

    return Starlette(
        routes=[
            Route("/who", who),
            Route("/echo", echo, methods=["POST"]),
            Route("/slow", slow),
            Route("/large", large),
        ]
    )


@contextlib.asynccontextmanager
async def connected(bound, context: ssl.SSLContext | None):
    reader, writer = await asyncio.open_connection(
        *bound, ssl=context, server_hostname="us.example" if context else None
    )
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


async def ask(reader, writer, path: str, extra: str = "") -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nhost: us.example\r\n{extra}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def until(state: dict, name: str) -> None:
    async with asyncio.timeout(10):
        while not state.get(name):  # noqa: ASYNC110 - the flag is set by the application
            await asyncio.sleep(0.01)


async def test_the_verified_client_certificate_reaches_the_application(us, them):
    async with serving(application(), "127.0.0.1", 0, us.server) as bound:
        assert bound[1] > 0
        async with connected(bound, them.client) as (reader, writer):
            answer = await ask(reader, writer, "/who")
    assert them.der.hex().encode() in answer
    assert them.pin.encode() in answer
    assert b'"version":"TLSv1.3"' in answer
    assert b"BEGIN CERTIFICATE" in answer
    assert b"tls_version" in answer
    assert b"date: " in answer
    assert b"server: " not in answer


async def test_without_a_client_certificate_there_is_no_connection(us):
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.check_hostname = False
    plain.verify_mode = ssl.CERT_NONE
    async with serving(application(), "127.0.0.1", 0, us.server) as bound:
        with pytest.raises((ssl.SSLError, OSError, asyncio.IncompleteReadError)):
            async with connected(bound, plain) as (reader, writer):
                await ask(reader, writer, "/who")


async def test_a_certificate_of_an_unknown_authority_gets_no_connection(us, identities):
    stranger = identities("stranger.example", stranger=True)
    async with serving(application(), "127.0.0.1", 0, us.server) as bound:
        with pytest.raises((ssl.SSLError, OSError, asyncio.IncompleteReadError)):
            async with connected(bound, stranger.client) as (reader, writer):
                await ask(reader, writer, "/who")


async def test_without_tls_there_is_no_peer():
    async with (
        serving(application(), "127.0.0.1", 0, None) as bound,
        connected(bound, None) as (reader, writer),
    ):
        assert (await ask(reader, writer, "/who")).endswith(b"nobody")


async def test_slow_headers_get_408_and_the_connection_ends():
    async with (
        serving(application(), "127.0.0.1", 0, None, limits=ConnectionLimits(head=0.2)) as bound,
        connected(bound, None) as (reader, writer),
    ):
        writer.write(b"GET /who HTTP/1.1\r\nhost: us")
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_trickle_of_header_bytes_does_not_extend_the_time():
    async with (
        serving(application(), "127.0.0.1", 0, None, limits=ConnectionLimits(head=0.3)) as bound,
        connected(bound, None) as (reader, writer),
    ):

        async def trickle():
            with contextlib.suppress(OSError):
                while True:
                    writer.write(b"x")
                    await asyncio.sleep(0.02)

        writer.write(b"GET /who HTTP/1.1\r\nx: ")
        task = asyncio.create_task(trickle())
        try:
            answer = await asyncio.wait_for(reader.read(), 5)
        except ConnectionResetError:  # bytes that were on their way took the answer with them
            answer = b"HTTP/1.1 408 "
        task.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_silent_connection_is_closed():
    async with (
        serving(application(), "127.0.0.1", 0, None, limits=ConnectionLimits(head=0.2)) as bound,
        connected(bound, None) as (reader, _writer),
    ):
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408 ")


async def test_empty_lines_between_requests_do_not_hold_a_connection():
    limits = ConnectionLimits(head=0.2, idle=60)
    async with (
        serving(application(), "127.0.0.1", 0, None, limits=limits) as bound,
        connected(bound, None) as (reader, writer),
    ):
        await ask(reader, writer, "/who")
        writer.write(b"\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /who HTTP/1.1\r\nx: " + b"a" * 40_000,
        b"GET /" + b"a" * 40_000,
        b"GET /who HTTP/1.1\r\nx: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /who HTTP/1.1\r\n" + b"x: a\r\n" * 200 + b"\r\n",
    ],
    ids=["endless-header", "endless-line", "large-header", "many-headers"],
)
async def test_large_headers_get_431(head):
    async with (
        serving(application(), "127.0.0.1", 0, None) as bound,
        connected(bound, None) as (reader, writer),
    ):
        writer.write(head)
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /who\r\n\r\n",
        b"POST /echo HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    ],
    ids=["tls-on-plain", "http-0.9", "smuggling-te-cl", "smuggling-cl-cl"],
)
async def test_what_is_no_unambiguous_request_gets_400(head):
    async with (
        serving(application(), "127.0.0.1", 0, None) as bound,
        connected(bound, None) as (reader, writer),
    ):
        writer.write(head)
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")


async def test_one_connection_too_many_gets_503():
    limits = ConnectionLimits(connections=1)
    async with (
        serving(application(), "127.0.0.1", 0, None, limits=limits) as bound,
        connected(bound, None) as (first, writer),
    ):
        await ask(first, writer, "/who")
        async with connected(bound, None) as (second, _):
            assert (await asyncio.wait_for(second.read(), 5)).startswith(b"HTTP/1.1 503 ")
        assert (await ask(first, writer, "/who")).startswith(b"HTTP/1.1 200 ")


async def test_an_old_connection_takes_no_further_request():
    limits = ConnectionLimits(age=0.2)
    async with (
        serving(application(), "127.0.0.1", 0, None, limits=limits) as bound,
        connected(bound, None) as (reader, writer),
    ):
        await ask(reader, writer, "/who")
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_running_request_outlives_the_age_and_then_the_connection_ends():
    state = {"sleep": 0.4}
    limits = ConnectionLimits(age=0.1)
    async with (
        serving(application(state), "127.0.0.1", 0, None, limits=limits) as bound,
        connected(bound, None) as (reader, writer),
    ):
        answer = await ask(reader, writer, "/slow")
        assert answer.endswith(b"late")
        assert b"connection: close" in answer
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_reader_that_stops_is_cut_off_and_we_hold_little(us, them):
    state: dict = {}
    limits = ConnectionLimits(stall=0.5)
    async with (
        serving(application(state), "127.0.0.1", 0, us.server, limits=limits) as bound,
        connected(bound, them.client) as (_reader, writer),
    ):
        writer.write(b"GET /large HTTP/1.1\r\nhost: us.example\r\n\r\n")
        await until(state, "closed")
    assert state["sent"] < 4000 * len(CHUNK) / 4, "the whole answer was produced for nobody"


async def test_stopping_lets_a_running_request_end():
    state = {"sleep": 0.3}
    async with contextlib.AsyncExitStack() as stack:
        bound = await stack.enter_async_context(serving(application(state), "127.0.0.1", 0, None))
        async with connected(bound, None) as (reader, writer):
            task = asyncio.create_task(ask(reader, writer, "/slow"))
            await until(state, "started")
            await stack.aclose()
            assert (await task).endswith(b"late")


async def test_stopping_cuts_what_does_not_end():
    limits = ConnectionLimits(stop=0.2)
    state: dict = {}
    async with asyncio.timeout(5), contextlib.AsyncExitStack() as stack:
        bound = await stack.enter_async_context(
            serving(application(state), "127.0.0.1", 0, None, limits=limits)
        )
        async with connected(bound, None) as (reader, writer):
            writer.write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
            await until(state, "started")
            await stack.aclose()
            assert b"late" not in await reader.read()


async def test_a_taken_port_is_our_fault_with_a_next_step():
    async with serving(application(), "127.0.0.1", 0, None) as (host, port):
        with pytest.raises(OurFault) as raised:
            async with serving(application(), host, port, None):
                pass
    assert raised.value.code == "listen-failed"
