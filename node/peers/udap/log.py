"""Our registrations and token requests in our log: each has its entry before its result is used."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from node.errors import AnswerError, CodedError
from node.exchange.ports import Clock, DirectoryView, Ledger, PeerEntry
from node.model import (
    Authorization,
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
from node.peers.udap.calls import Answer
from trust.decision import TrustDecision
from trust.udap.signers import SignerVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why the peer's metadata was believed."""

    verdict: SignerVerdict
    binding: str
    deviations: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Sent:
    """One request of ours, as it comes to be known."""

    step: Authorization
    entry: PeerEntry
    purpose: str
    started: datetime
    begun: float
    key: str | None = None
    trust: TrustDecision | None = None
    binding: str | None = None
    request: bytes | None = None
    response: bytes | None = None
    deviations: list[str] = field(default_factory=list)
    who: dict[str, object] = field(default_factory=dict)
    asked: dict[str, object] = field(default_factory=dict)

    def answered(self, answer: Answer) -> None:
        """Note what came back."""
        self.response = hashlib.sha256(answer.body).digest()
        self.deviations += answer.deviations


class ClientLog:
    """Begins requests and enters them, whatever comes of them."""

    def __init__(
        self, *, own: HomeCommunityId, ledger: Ledger, directory: DirectoryView, clock: Clock
    ) -> None:
        """``own`` is our home community id."""
        self._own = own
        self._ledger = ledger
        self._directory = directory
        self._clock = clock

    def begin(
        self, step: Authorization, entry: PeerEntry, purpose: str, evidence: Evidence
    ) -> Sent:
        """A request that is about to be sent."""
        return Sent(
            step=step,
            entry=entry,
            purpose=purpose,
            started=self._clock.now(),
            begun=self._clock.monotonic(),
            key=evidence.verdict.key,
            trust=evidence.verdict.decision,
            binding=evidence.binding,
            deviations=list(evidence.deviations),
        )

    @asynccontextmanager
    async def sending(self, sent: Sent) -> AsyncIterator[None]:
        """Send inside the block; the entry is durable when it ends, also when it fails.

        Raises:
            OurFault: when the entry cannot be written: then the result must not be used.
        """
        try:
            yield
        except asyncio.CancelledError:
            await asyncio.shield(self._enter(sent, Outcome.CANCELLED, None, None))
            raise
        except AnswerError as error:
            reason = f"oauth.{error.fault}" if error.fault else error.code
            await self._enter(sent, Outcome.DECLINED, reason, error.sentence)
            raise
        except CodedError as error:
            outcome = Outcome.TIMED_OUT if error.code == "timeout" else Outcome.FAILED
            await self._enter(sent, outcome, error.code, error.sentence)
            raise
        except Exception:
            await self._enter(sent, Outcome.FAILED, "internal-error", None)
            raise
        await self._enter(sent, Outcome.OK, None, None)

    async def _enter(
        self, sent: Sent, outcome: Outcome, reason: str | None, sentence: str | None
    ) -> None:
        entry = sent.entry
        leg = Leg(
            leg_id=LegId(self._clock.new_id()),
            exchange_id=ExchangeId(self._clock.new_id()),
            direction=Direction.INITIATING,
            transaction=sent.step,
            peer=Peer(
                organization_id=entry.organization_id,
                home_community_id=entry.home_community_id,
                name=entry.name,
            ),
            outcome=outcome,
            reason=reason,
            sentence=sentence,
            started=sent.started,
            duration_ms=round((self._clock.monotonic() - sent.begun) * 1000),
        )
        await self._ledger.append(
            LegRecord(
                leg=leg,
                own=self._own,
                purpose=sent.purpose,
                peer_key=sent.key,
                binding=sent.binding,
                directory_version=self._directory.version,
                request_digest=sent.request,
                response_digest=sent.response,
                deviations=tuple(sent.deviations),
                trust=sent.trust,
                private=PrivateFacts(who=sent.who, query=sent.asked),
            )
        )
