"""Serving one request: the answer's entry becomes durable before the answer is handed on.

The order of law 1 on the responding side lives here and nowhere else: an answer comes as bytes, its
digest goes into the ledger entry, the entry becomes durable, and only then do the bytes go on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from node.exchange.outcomes import Ending
from node.exchange.ports import Asker, Clock, DirectoryView, Inbound, Ledger, OpenDocument
from node.model import (
    Direction,
    ExchangeId,
    HomeCommunityId,
    Leg,
    LegId,
    LegRecord,
    Outcome,
    Peer,
    PrivateFacts,
)
from node.policy.decide import Decision

_UNKNOWN_PEER = Peer(organization_id="", home_community_id=HomeCommunityId(""), name="unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer ready to leave, and what the ledger has to know of it.

    ``wire`` is empty and ``decision`` ``None`` only for an answer that broke or was cut off.
    ``digest`` is the SHA-256 of an answer whose bytes are not in ``wire`` but follow as a stream.
    """

    wire: bytes = b""
    digest: bytes | None = None
    decision: Decision | None = None
    ending: Ending
    private: PrivateFacts = field(default_factory=PrivateFacts)
    opened: Sequence[OpenDocument] = ()


class ServedRecorder:
    """Runs answers and writes one ledger entry for each, also when it fails or is cut off."""

    def __init__(
        self, *, own: HomeCommunityId, ledger: Ledger, directory: DirectoryView, clock: Clock
    ) -> None:
        """``directory`` names the version that is noted in each entry."""
        self._own = own
        self._ledger = ledger
        self._directory = directory
        self._clock = clock

    async def serve(
        self,
        inbound: Inbound,
        work: Awaitable[Answered],
        *,
        exchange_id: ExchangeId | None = None,
    ) -> Answered:
        """Await an answer, make its entry durable, and give it back.

        ``exchange_id`` joins it to an exchange that has other legs, such as questions to peers.

        Raises:
            OurFault: when the entry cannot be written: then nothing may be sent.
        """
        started, clock_start = self._clock.now(), self._clock.monotonic()

        async def write(answered: Answered) -> None:
            ending = answered.ending
            leg = Leg(
                leg_id=LegId(self._clock.new_id()),
                exchange_id=exchange_id or ExchangeId(self._clock.new_id()),
                direction=Direction.RESPONDING,
                transaction=inbound.transaction,
                peer=_peer(inbound),
                outcome=ending.outcome,
                reason=ending.reason,
                sentence=ending.sentence,
                started=started,
                duration_ms=round((self._clock.monotonic() - clock_start) * 1000),
                documents=ending.documents,
                message_id=inbound.message_id,
                errors=ending.errors,
            )
            await self._ledger.append(self._record(inbound, leg, answered))

        try:
            answered = await work
        except asyncio.CancelledError:
            cut_off = Answered(ending=Ending(outcome=Outcome.CANCELLED))
            await asyncio.shield(write(cut_off))
            raise
        except Exception:
            broken = Ending(outcome=Outcome.FAILED, reason="internal-error")
            await write(Answered(ending=broken))
            raise
        await write(answered)
        return answered

    def _record(self, inbound: Inbound, leg: Leg, answered: Answered) -> LegRecord:
        asker = inbound.asker if isinstance(inbound.asker, Asker) else None
        wire, decision = answered.wire, answered.decision
        return LegRecord(
            leg=leg,
            own=self._own,
            purpose=asker.principal.purpose.code if asker else None,
            peer_key=inbound.peer_key,
            assertion_id=asker.assertion_id if asker else None,
            issuer=asker.issuer if asker else None,
            binding=asker.binding if asker else None,
            policy_rules=decision.rules if decision else (),
            directory_version=self._directory.version,
            request_digest=inbound.request_digest,
            response_digest=hashlib.sha256(wire).digest() if wire else answered.digest,
            deviations=inbound.deviations,
            trust=inbound.trust,
            request=inbound.request,
            response=wire or None,
            private=answered.private,
        )


def _peer(inbound: Inbound) -> Peer:
    if isinstance(inbound.asker, Asker):
        return inbound.asker.entry.peer(inbound.transaction)
    return inbound.claimed or _UNKNOWN_PEER
