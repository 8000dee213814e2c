"""One request to the authorization server, as it comes to be known, and its entry in the log.

Whoever handles a request fills the attempt as it learns who asks and what for, so that a refusal
has as much evidence as a grant: which client, which chain and why it was believed, which scopes
were asked and granted. The entry is durable before the answer leaves (DESIGN law 1). Neither a
token nor an assertion is in it; of what came, its SHA-256.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from node.exchange.ports import Clock, Ledger, PeerEntry
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
from trust.decision import TrustDecision

_UNKNOWN = Peer(organization_id="", home_community_id=HomeCommunityId(""), name="unknown")


@dataclass(slots=True, kw_only=True)
class Attempt:
    """What is known of one request.

    Attributes:
        step: what it asks for.
        leg_id, exchange_id: its ids in the log.
        started, begun: when it came, and that on the clock that measures.
        digest: SHA-256 of the software statement or assertion.
        peer: the directory entry of the organisation behind the client.
        purpose: the exchange purpose.
        key: SPKI SHA-256 of the signer's key, where its chain was judged.
        trust: the decision about the chain.
        proved: whether a signer of a community was proved: others get no entry without end.
        binding: how the signer was bound to the organisation.
        rules: ids of the policy rules that decided.
        deviations: what was tolerated.
        token_id: ``jti`` of the client's token.
        who: the private facts about the asker.
        asked: the private facts about what was asked and granted.
    """

    step: Authorization
    leg_id: LegId
    exchange_id: ExchangeId
    started: datetime
    begun: float
    digest: bytes | None = None
    peer: PeerEntry | None = None
    purpose: str | None = None
    key: str | None = None
    trust: TrustDecision | None = None
    proved: bool = False
    binding: str | None = None
    rules: tuple[str, ...] = ()
    deviations: list[str] = field(default_factory=list)
    token_id: str | None = None
    who: dict[str, object] = field(default_factory=dict)
    asked: dict[str, object] = field(default_factory=dict)


class AuthorizationLog:
    """Begins attempts and enters them."""

    def __init__(self, *, own: HomeCommunityId, ledger: Ledger, clock: Clock) -> None:
        """``own`` is our home community id."""
        self._own = own
        self._ledger = ledger
        self._clock = clock

    def begin(self, step: Authorization) -> Attempt:
        """A request that came in now."""
        return Attempt(
            step=step,
            leg_id=LegId(self._clock.new_id()),
            exchange_id=ExchangeId(self._clock.new_id()),
            started=self._clock.now(),
            begun=self._clock.monotonic(),
        )

    async def enter(
        self,
        attempt: Attempt,
        *,
        directory_version: str,
        response: bytes | None,
        outcome: Outcome,
        reason: str | None = None,
        sentence: str | None = None,
    ) -> None:
        """Write the entry; returns when it is durable.

        Raises:
            OurFault: when it cannot be written: then nothing may be sent.
        """
        entry = attempt.peer
        peer = _UNKNOWN
        if entry is not None:
            peer = Peer(
                organization_id=entry.organization_id,
                home_community_id=entry.home_community_id,
                name=entry.name,
            )
        leg = Leg(
            leg_id=attempt.leg_id,
            exchange_id=attempt.exchange_id,
            direction=Direction.RESPONDING,
            transaction=attempt.step,
            peer=peer,
            outcome=outcome,
            reason=reason,
            sentence=sentence,
            started=attempt.started,
            duration_ms=round((self._clock.monotonic() - attempt.begun) * 1000),
        )
        record = LegRecord(
            leg=leg,
            own=self._own,
            purpose=attempt.purpose,
            peer_key=attempt.key,
            assertion_id=attempt.token_id,
            binding=attempt.binding,
            policy_rules=attempt.rules,
            directory_version=directory_version,
            request_digest=attempt.digest,
            response_digest=hashlib.sha256(response).digest() if response else None,
            deviations=tuple(attempt.deviations),
            trust=attempt.trust,
            private=PrivateFacts(who=attempt.who, query=attempt.asked),
        )
        await self._ledger.append(record)
