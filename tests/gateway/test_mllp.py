"""The MLLP listener over real sockets: answers, limits, and senders that do everything wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.gateway.mllp import MOST_JUNK, MllpAnswers, MllpLimits, serving_mllp

LIMITS = MllpLimits(connections=2, message_bytes=2048, idle_seconds=30)


def take(data: bytes) -> bytes:
    return b"took " + data


@asynccontextmanager
async def listening(
    limits: MllpLimits = LIMITS, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, int]]:
    answers = MllpAnswers(take=take, too_large=lambda: b"too large")
    async with serving_mllp(answers, "127.0.0.1", 0, context, limits=limits) as address:
        yield address


@asynccontextmanager
async def sender(
    address: tuple[str, int], **tls
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*address, **tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        framed = await reader.readuntil(b"\x1c\r")
    return framed[1:-2]


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(10):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


async def test_messages_of_one_connection_are_answered_one_after_the_other() -> None:
    async with listening() as address, sender(address) as (reader, writer):
        writer.write(b"\x0bone\x1c\r\x0btwo\x1c\r")
        assert [await answer(reader), await answer(reader)] == [b"took one", b"took two"]
        writer.write(b"\x0bthr")
        await writer.drain()
        writer.write(b"ee\x1c")  # without CR, as some senders end it
        assert await answer(reader) == b"took three"


async def test_a_message_that_is_too_large_is_answered_and_the_connection_cut() -> None:
    async with listening() as address:
        async with sender(address) as (reader, writer):
            writer.write(b"\x0b" + b"x" * 4096)
            assert await answer(reader) == b"too large"
            assert await ended(reader)
        async with sender(address) as (reader, writer):  # and the next one is served
            writer.write(b"\x0bone\x1c\r")
            assert await answer(reader) == b"took one"


async def test_junk_is_dropped_a_little_and_then_the_connection_is_cut() -> None:
    async with listening() as address, sender(address) as (reader, writer):
        writer.write(b"\r\n\x00junk\x0bone\x1c\r")
        assert await answer(reader) == b"took one"
        writer.write(b"GET / HTTP/1.1\r\n" * MOST_JUNK)
        assert await ended(reader)


async def test_more_connections_than_the_limit_are_cut() -> None:
    async with listening() as address:
        async with sender(address) as one, sender(address) as two:
            for reader, writer in (one, two):
                writer.write(b"\x0bx\x1c\r")
                await answer(reader)
            async with sender(address) as (reader, _):
                assert await ended(reader)
        for _ in range(200):  # until the listener has seen that they went
            async with sender(address) as (reader, writer):
                with suppress(asyncio.IncompleteReadError, ConnectionError):
                    writer.write(b"\x0by\x1c\r")
                    assert await answer(reader) == b"took y"
                    break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError("no connection was free again")


async def test_an_idle_connection_is_cut() -> None:
    limits = MllpLimits(connections=2, message_bytes=2048, idle_seconds=0.05)
    async with listening(limits) as address, sender(address) as (reader, writer):
        writer.write(b"\x0bhalf a message")
        assert await ended(reader)


async def test_stopping_the_listener_ends_connections() -> None:
    async with listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"\x0bone\x1c\r")
        await answer(reader)
    assert await ended(reader)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_tls_is_spoken_where_there_is_a_context(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (tmp_path / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    client = ssl.create_default_context(cafile=str(tmp_path / "c.pem"))
    tls = {"ssl": client, "server_hostname": "localhost"}
    async with listening(context=context) as address:
        async with sender(address, **tls) as (reader, writer):
            writer.write(b"\x0bone\x1c\r")
            assert await answer(reader) == b"took one"
        async with sender(address) as (reader, writer):
            writer.write(b"\x0bplain\x1c\r")
            with suppress(ConnectionError):
                assert b"took" not in await reader.read(200)
