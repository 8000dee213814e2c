"""A gateway over real HTTPS in front of a FHIR server: one of ours, or one that misbehaves."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir_world import COMMUNITY, FhirWorld, fhir_world, open_records

from node.peers.upstream.client import UpstreamLimits, upstream_client
from node.peers.upstream.credentials import Credential, TokenFile
from node.peers.upstream.offer import LiveOffer
from node.peers.upstream.people import UpstreamPeople
from node.peers.upstream.source import UpstreamFhir, UpstreamParts


@dataclass(slots=True)
class Gateway:
    """The world of the gateway's clients, and what the gateway withheld."""

    world: FhirWorld
    withheld: Counter[str]


@asynccontextmanager
async def gateway(
    base: str,
    credential: Credential,
    us: Any,
    them: Any,
    folder: Path,
    *,
    limits: UpstreamLimits | None = None,
    seconds: float = 25.0,
    monotonic: Callable[[], float] | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway in front of the server at ``base``; its log is in ``folder``."""
    withheld: Counter[str] = Counter()

    def counted(reason: str, count: int) -> None:
        withheld[reason] += count

    records = open_records(f"sqlite:///{folder / 'gateway.db'}", folder)
    try:
        async with upstream_client(
            base, them.client, credential, limits or UpstreamLimits()
        ) as client:
            clock = {} if monotonic is None else {"monotonic": monotonic}
            parts = UpstreamParts(
                client=client,
                people=UpstreamPeople(client, COMMUNITY.assigning_authority, **clock),
                offer=LiveOffer(client, **clock),
                spool=folder,
                counted=counted,
                seconds=seconds,
            )
            async with fhir_world(records, us, them, source=UpstreamFhir(parts)) as world:
                yield Gateway(world, withheld)
    finally:
        records.engine.dispose()


@asynccontextmanager
async def through_a_gateway(
    upstream: FhirWorld, us: Any, them: Any, folder: Path, **options: Any
) -> AsyncIterator[Gateway]:
    """A gateway in front of one of our own servers, which admits it by a bearer token."""
    async with gateway(
        upstream.base, TokenFile(token_file(folder, upstream.token())), us, them, folder, **options
    ) as running:
        yield running


def token_file(folder: Path, token: str) -> Path:
    path = folder / "upstream.token"
    path.touch(mode=0o600)
    path.write_text(f"{token}\n")
    return path


# --- servers that misbehave -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that a server got."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Asked], "bytes | Callable[[asyncio.StreamWriter], Any]"]


@dataclass(slots=True)
class BadServer:
    """A server that answers with whatever bytes a test says, on real sockets."""

    base: str = ""
    answer: Answering = field(default=lambda _asked: reply(500, b""))
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.asked.append(Asked(method, target, headers, body))
            answer = self.answer(self.asked[-1])
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        writer.close()


@asynccontextmanager
async def bad_server(us: Any, context: ssl.SSLContext | None = None) -> AsyncIterator[BadServer]:
    """A server that misbehaves, until the block ends; without a context, for node certificates."""
    made = BadServer()
    tls = context or us.server
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls) as server:
        made.base = f"https://localhost:{server.sockets[0].getsockname()[1]}/fhir"
        yield made


def reply(
    status: int, body: bytes, *, kind: str = "application/fhir+json", **headers: str
) -> bytes:
    """An HTTP answer."""
    sent = {
        "content-type": kind,
        "content-length": str(len(body)),
        "connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body
