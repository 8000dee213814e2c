"""Calls to a peer about what both logs hold of each other: one GET, one answer, within limits."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import BinaryIO, Final

import aiohttp

from node.errors import TheirFault
from node.ledger.peer_log import PeerLog
from node.ledger.stated_there import MAX_PROOF
from node.model import Peer
from node.peers.attempt import HttpAnswer, endpoint_url, posted
from node.peers.network_faults import network_fault
from node.peers.pool import Judge
from node.peers.server_trust import ServerJudge, not_bound
from trust.tls import PeerCertificates

_MAX_SENTENCE: Final = 300
_PAUSE: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReply:
    """What a peer answered about one entry."""

    status: int
    body: bytes


class PairClient:
    """It owns nothing that must be closed. Each call ends within ``seconds``."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        judge_server: ServerJudge,
        *,
        own: str,
        seconds: float,
    ) -> None:
        """``own`` is our HCID: the peer binds our certificate to it."""
        self._session = session
        self._judge_server = judge_server
        self._own = own
        self._seconds = seconds

    async def stated(self, peer: Peer, log: PeerLog, window: date) -> bytes:
        """The proof that the peer's log has the entry of its statement for us.

        It is asked for again while the peer's log has not sealed it.

        Raises:
            NodeError: whatever ended the call.
        """
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    reply = await self._get(peer, log, f"statement/{window}/proof")
                    if reply.status == HTTPStatus.OK:
                        return reply.body
                    if reply.status != HTTPStatus.SERVICE_UNAVAILABLE:
                        raise refused(reply)
                    await asyncio.sleep(_PAUSE)
        except TimeoutError as error:
            raise network_fault(error) from error

    async def statement(
        self, peer: Peer, log: PeerLog, window: date, file: BinaryIO, *, most: int
    ) -> None:
        """Write the peer's statement into a file, ``most`` bytes at most.

        Raises:
            NodeError: whatever ended the call; ``message-too-large`` past the limit.
        """
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._asked(peer, log, f"statement/{window}", most) as answer,
            ):
                if answer.status != HTTPStatus.OK:
                    body = await _short(answer)
                    raise refused(PairReply(status=answer.status, body=body))
                async for piece in answer.body:
                    file.write(piece)
        except TimeoutError as error:
            raise network_fault(error) from error

    async def entry(self, peer: Peer, log: PeerLog, message_id: str) -> PairReply:
        """What the peer's log has of a message.

        Raises:
            NodeError: whatever ended the call.
        """
        try:
            async with asyncio.timeout(self._seconds):
                name = message_id.removeprefix("urn:uuid:")
                return await self._get(peer, log, f"entry/{name}")
        except TimeoutError as error:
            raise network_fault(error) from error

    async def checkpoint(self, peer: Peer, log: PeerLog) -> PairReply:
        """The newest checkpoint of the peer's log. Raises ``NodeError``."""
        url = f"{(log.address or '').rstrip('/')}/checkpoint"
        try:
            async with asyncio.timeout(self._seconds), self._at(peer, url, MAX_PROOF) as answer:
                body = b"".join([piece async for piece in answer.body])
                return PairReply(status=answer.status, body=body)
        except TimeoutError as error:
            raise network_fault(error) from error

    async def _get(self, peer: Peer, log: PeerLog, path: str) -> PairReply:
        async with self._asked(peer, log, path, MAX_PROOF) as answer:
            body = b"".join([piece async for piece in answer.body])
            return PairReply(status=answer.status, body=body)

    def _asked(
        self, peer: Peer, log: PeerLog, path: str, most: int
    ) -> AbstractAsyncContextManager[HttpAnswer]:
        base = (log.address or "").rstrip("/")
        return self._at(peer, f"{base}/pair/{self._own}/{path}", most)

    def _at(self, peer: Peer, url: str, most: int) -> AbstractAsyncContextManager[HttpAnswer]:
        return posted(
            self._session,
            endpoint_url(url),
            None,
            headers={},
            judge=self._judge(peer),
            max_bytes=most,
        )

    def _judge(self, peer: Peer) -> Judge:
        def judge(certificates: PeerCertificates, _key: str) -> None:
            verdict = self._judge_server(peer, certificates)
            if not verdict.ok:
                raise not_bound(verdict)

        return judge


async def _short(answer: HttpAnswer) -> bytes:
    body = bytearray()
    async for piece in answer.body:
        body += piece
        if len(body) > _MAX_SENTENCE:
            break
    return bytes(body[:_MAX_SENTENCE])


def refused(reply: PairReply) -> TheirFault:
    """The fault of a peer that answered with another status than one that is good."""
    text = reply.body[:_MAX_SENTENCE].decode("ascii", "replace")
    said = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    why = f" It says: {said}" if said else ""
    return TheirFault(
        "log-pair-refused",
        f"The peer does not show what its log holds of us (HTTP {reply.status}).{why}",
        detail=str(reply.status),
    )
