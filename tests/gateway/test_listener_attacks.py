"""The listener under attack: requests that two readers read otherwise, floods without an end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from test_listener import connected

from node.gateway.limits import ConnectionLimits
from node.gateway.server import serving
from node.gateway.turned_away import Throttle

HEAD = b"POST / HTTP/1.1\r\nhost: us.example\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def application(seen: list | None = None, slow: float = 0) -> Starlette:
    async def told(request):
        body = await request.body()
        if seen is not None:
            seen.append(request.url.path)
        await asyncio.sleep(slow)
        return JSONResponse({"body": body.decode(), "headers": dict(request.headers)})

    return Starlette(routes=[Route("/{path:path}", told, methods=["GET", "POST"])])


async def answered(sent: bytes, app: Starlette | None = None, **limits) -> bytes:
    """All that comes back for some bytes."""
    made = ConnectionLimits(head=1.0, idle=1.0, **limits)
    async with (
        serving(app or application(), "127.0.0.1", 0, None, limits=made) as bound,
        connected(bound, None) as (reader, writer),
    ):
        writer.write(sent)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)


AMBIGUOUS = {
    "no-host": b"GET / HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET / HTTP/1.1\r\nhost: us.example\r\nhost: them.example\r\n\r\n",
    "length-beside-chunks": HEAD
    + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks-in-http-1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "another-coding-before-chunks": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "another-coding-after-chunks": HEAD + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "coding-identity": HEAD + b"transfer-encoding: identity\r\ncontent-length: 0\r\n\r\n",
    "coding-by-another-name": HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks-twice": HEAD + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "two-lengths": HEAD + b"content-length: 3\r\n" * 2 + b"\r\nabc",
    "list-of-lengths": HEAD + b"content-length: 3, 3\r\n\r\nabc",
    "length-with-sign": HEAD + b"content-length: +3\r\n\r\nabc",
    "length-without-measure": HEAD + b"content-length: 99999999999999999999999\r\n\r\nabc",
    "blank-before-colon": HEAD + b"content-length : 3\r\n\r\nabc",
    "folded-line": HEAD + b"x: a\r\n b\r\n\r\n",
    "bare-line-feeds": b"GET / HTTP/1.1\nhost: us.example\n\n",
    "bare-carriage-return": HEAD + b"x: a\rcontent-length: 3\r\n\r\n",
    "nul": HEAD + b"x: a\0b\r\n\r\n",
    "chunk-of-bare-line-feeds": CHUNKED + b"3\nabc\n0\n\n",
    "chunk-extension-of-a-line-feed": CHUNKED + b"3;x\nabc\r\n0\r\n\r\n",
    "chunk-size-in-another-form": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk-size-without-measure": CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "length-after-the-body": CHUNKED + b"0\r\ncontent-length: 3\r\n\r\n",
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_request_that_another_reader_could_read_otherwise_gets_400(sent):
    answer = await answered(sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"HTTP/1.1 200" not in answer


async def test_nothing_is_served_after_a_request_that_ends_the_connection():
    seen: list = []
    closing = b"GET /first HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    await answered(closing + b"GET /second HTTP/1.1\r\nhost: a\r\n\r\n", application(seen))
    assert seen == ["/first"]


async def test_fields_after_a_body_are_no_headers():
    answer = await answered(
        CHUNKED + b"3\r\nabc\r\n0\r\nauthorization: Bearer stolen\r\nhost: them.example\r\n\r\n"
    )
    assert b'"body":"abc"' in answer
    assert b"stolen" not in answer
    assert b"them.example" not in answer


@pytest.mark.parametrize(
    "endless",
    [b"3\r\nabc\r\n0\r\nx: ", b"3\r\nabc\r\n0\r\nx: a\r\n", b"3;x="],
    ids=["field-after-the-body", "fields-after-the-body", "chunk-extension"],
)
async def test_what_stands_beside_the_body_has_a_limit(endless):
    """Bytes that are no body count against no limit of a body."""
    more = b"x: a\r\n" if endless.endswith(b"\n") else b"aaaaaa"
    async with (
        serving(application(), "127.0.0.1", 0, None) as bound,
        connected(bound, None) as (reader, writer),
    ):
        writer.write(CHUNKED + endless)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(more * 200)
                await writer.drain()
                await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            assert b"HTTP/1.1 431 " in await asyncio.wait_for(reader.read(), 10)
        assert reader.at_eof() or reader.exception()


async def test_a_body_in_small_pieces_is_none_of_it():
    pieces = b"".join(b"1;x=y\r\na\r\n" for _ in range(20_000))
    async with (
        serving(application(), "127.0.0.1", 0, None) as bound,
        connected(bound, None) as (reader, writer),
    ):
        writer.write(CHUNKED + pieces + b"0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_requests_ahead_of_their_answers_have_a_limit():
    seen: list = []
    turned: list = []
    one = b"GET / HTTP/1.1\r\nhost: us.example\r\n\r\n"
    async with (
        serving(
            application(seen, slow=0.2), "127.0.0.1", 0, None,
            limits=ConnectionLimits(ahead=10), turn_away=lambda *what: turned.append(what),
        ) as bound,
        connected(bound, None) as (reader, writer),
    ):  # fmt: skip
        writer.write(one * 1000)
        with contextlib.suppress(ConnectionError):
            assert (await asyncio.wait_for(reader.read(), 10)).count(b"HTTP/1.1 200 ") <= 1
    assert len(seen) <= 1
    assert turned == [(Throttle.REQUESTS, None)]


async def test_a_few_requests_ahead_are_answered_in_their_order():
    seen: list = []
    sent = b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % n for n in range(5))
    assert (await answered(sent, application(seen))).count(b"HTTP/1.1 200 ") == 5
    assert seen == [f"/{n}" for n in range(5)]


# --- handshakes -----------------------------------------------------------------------------------


async def half_open_ones(us, them) -> tuple[list, bytes]:
    """More half-open connections than the limit, then an honest one; what was counted and said."""
    turned: list = []
    limits = ConnectionLimits(handshakes=5)
    app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("served"))])
    async with (
        serving(
            app, "127.0.0.1", 0, us.server,
            limits=limits, turn_away=lambda *what: turned.append(what),
        ) as bound,
        contextlib.AsyncExitStack() as stack,
    ):  # fmt: skip
        opened = [await stack.enter_async_context(connected(bound, None)) for _ in range(8)]
        for reader, _ in opened[:3]:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 10) == b""
        reader, writer = await stack.enter_async_context(connected(bound, them.client))
        # a second request finds the connection in order
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nhost: us.example\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            body = await reader.readexactly(len(b"served"))
        return turned, head + body


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_of_too_many_handshakes_the_oldest_makes_room(us, them, loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        turned, answer = runner.run(half_open_ones(us, them))
    assert answer.endswith(b"served")
    assert turned == [(Throttle.CONNECTIONS, None)] * 4


async def broken_off(us) -> int:
    """Connections that end before, in and with a failed handshake; how many are held then."""
    strange = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    strange.check_hostname = False
    strange.verify_mode = ssl.CERT_NONE
    strange.maximum_version = ssl.TLSVersion.TLSv1_2
    strange.set_ciphers("AES128-SHA256")  # none that we speak
    app = application()
    counted: list = []

    class Watch:
        def watch_connections(self, _where, count):
            counted.append(count)

    async with serving(app, "127.0.0.1", 0, us.server, metrics=Watch()) as bound:  # type: ignore[arg-type]
        for sent in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
            async with connected(bound, None) as (reader, writer):
                writer.write(sent)
                writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(), 10)
        with contextlib.suppress(ssl.SSLError, OSError):
            async with connected(bound, strange):
                pass
        await asyncio.sleep(0)
        return counted[0]()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_handshake_that_ends_early_leaves_nothing_behind(us, loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(broken_off(us)) == 0
