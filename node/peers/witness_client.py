"""Calls to the witnesses of our log (C2SP tlog-witness): one request, one answer, within limits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import aiohttp

from node.errors import NetworkFault, TheirFault
from node.ledger.tlog.witness import ADD_CHECKPOINT, MAX_ANSWER, SIZE_TYPE, checkpoint_path
from node.ledger.witness_peers import WitnessPeer
from node.model import HomeCommunityId, Peer
from node.peers.attempt import endpoint_url, posted
from node.peers.network_faults import network_fault
from node.peers.pool import Judge
from node.peers.server_trust import ServerJudge, not_bound
from trust.tls import PeerCertificates

_HEADERS: Final = {"Content-Type": "text/plain; charset=utf-8"}
_WHY: Final[dict[int, str]] = {
    HTTPStatus.NOT_FOUND: "It does not know our log.",
    HTTPStatus.FORBIDDEN: "It knows our log by another key.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "What it signed before does not lead to this checkpoint.",
    HTTPStatus.CONFLICT: "It signed another size last, and does not keep to it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessReply:
    """What a witness answered; ``is_size`` when it says that the body is a size."""

    status: int
    body: bytes
    is_size: bool = False


class WitnessCalls(Protocol):
    """The calls to a witness; each ends within its time."""

    async def add_checkpoint(self, witness: WitnessPeer, request: bytes) -> WitnessReply:
        """Ask it to sign.

        Raises:
            NodeError: whatever ended the call.
        """
        ...

    async def newest(self, witness: WitnessPeer, origin: str) -> bytes | None:
        """The checkpoint that it signed last of a log; ``None`` when it signed none.

        Raises:
            NodeError: whatever ended the call.
        """
        ...


class WitnessClient:
    """Implements ``WitnessCalls`` over HTTP. It owns nothing that must be closed."""

    def __init__(
        self, session: aiohttp.ClientSession, judge_server: ServerJudge, *, seconds: float
    ) -> None:
        """``session`` is the pool, whose owner closes it; ``seconds`` the time of one call."""
        self._session = session
        self._judge_server = judge_server
        self._seconds = seconds

    async def add_checkpoint(self, witness: WitnessPeer, request: bytes) -> WitnessReply:
        """As ``WitnessCalls``."""
        return await self._call(witness, ADD_CHECKPOINT, request)

    async def newest(self, witness: WitnessPeer, origin: str) -> bytes | None:
        """As ``WitnessCalls``."""
        reply = await self._call(witness, checkpoint_path(origin), None)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if reply.status != HTTPStatus.OK:
            raise refused(reply)
        return reply.body

    async def _call(self, witness: WitnessPeer, path: str, body: bytes | None) -> WitnessReply:
        url = endpoint_url(f"{witness.address.rstrip('/')}/{path}")
        try:
            async with (
                asyncio.timeout(self._seconds),
                posted(
                    self._session,
                    url,
                    body,
                    headers=_HEADERS if body is not None else {},
                    judge=self._judge(witness),
                    max_bytes=MAX_ANSWER,
                ) as answer,
            ):
                received = b"".join([piece async for piece in answer.body])
        except TimeoutError as error:
            raise network_fault(error) from error
        if answer.unavailable:
            raise NetworkFault(
                "peer-unavailable", f"The witness is not available (HTTP {answer.status})."
            )
        kind = answer.content_type.partition(";")[0].strip().lower()
        return WitnessReply(status=answer.status, body=received, is_size=kind == SIZE_TYPE)

    def _judge(self, witness: WitnessPeer) -> Judge:
        peer = Peer(
            organization_id=witness.organization_id,
            home_community_id=HomeCommunityId(""),
            name=witness.name,
        )

        def judge(certificates: PeerCertificates, _key: str) -> None:
            verdict = self._judge_server(peer, certificates)
            if not verdict.ok:
                raise not_bound(verdict)

        return judge


def refused(reply: WitnessReply) -> TheirFault:
    """The fault of a witness that answered with a status that says no."""
    why = _WHY.get(reply.status, "")
    return TheirFault(
        "log-witness-refused",
        f"The witness did not sign (HTTP {reply.status}). {why}".rstrip(),
        detail=str(reply.status),
    )
