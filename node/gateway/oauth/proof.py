"""From a client's token to claims that count: chain judged, signature checked, then read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from node.exchange.ports import PeerEntry
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.refusal import Refused
from node.policy.decide import Decision, InboundFacts, PartyFacts, decide_inbound
from node.policy.purposes import PurposeRegister
from trust.binding import BindingMethod, OrganizationTrust
from trust.errors import TrustError
from trust.udap.binding import NamedSigner, bind_uri
from trust.udap.jwt import proved, read_jwt
from trust.udap.signers import SignerKnowledge, SignerVerdict, judge_signer
from trust.udap.strict_json import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedToken:
    """A token whose signer belongs to a community and whose claims that signer made."""

    claims: JsonObject
    verdict: SignerVerdict

    @property
    def community(self) -> str:
        """The community of its chain."""
        return self.verdict.community or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRules:
    """By which organisations are judged.

    Attributes:
        knowledge: whom the node trusts at this moment.
        only_listed: fingerprints of the anchors that only the signed list vouches for.
        organization_trust: pins and hosts of an entry.
        allow_unpinned: whether an entry without pins may be bound by name.
        responds: purposes that this node answers.
        register: the purposes in force.
    """

    knowledge: Callable[[], SignerKnowledge]
    only_listed: Callable[[], Collection[str]]
    organization_trust: Callable[[PeerEntry], OrganizationTrust]
    allow_unpinned: bool
    responds: Callable[[], frozenset[str]]
    register: PurposeRegister


def prove(token: str, rules: ClientRules, attempt: Attempt, *, now: datetime) -> ProvedToken:
    """Judge a token's signer and check its signature; what is learnt goes into the attempt.

    Raises:
        Refused: why it is not accepted.
    """
    data = token.encode("utf-8", "replace")
    attempt.digest = hashlib.sha256(data).digest()
    try:
        sealed = read_jwt(data)
        verdict = judge_signer(sealed.leaf, sealed.intermediates, rules.knowledge(), now=now)
        attempt.key = verdict.key or None
        attempt.trust = verdict.decision
        if not verdict.ok:
            raise Refused(verdict.reason_code or "chain-refused", verdict.sentence)
        claims = proved(sealed)
    except TrustError as error:
        raise Refused.by(error) from error
    attempt.proved = True
    return ProvedToken(claims=claims, verdict=verdict)


def bind_client(
    uri: str, verdict: SignerVerdict, entry: PeerEntry, rules: ClientRules, attempt: Attempt
) -> None:
    """Tie a client's key to the organisation it speaks for.

    Raises:
        Refused: why it is not tied to it.
    """
    bound = bind_uri(
        NamedSigner(
            uri=uri,
            key=verdict.key,
            vouched_locally=verdict.anchor not in rules.only_listed(),
        ),
        rules.organization_trust(entry),
        home_community_id=entry.home_community_id,
        allow_unpinned=rules.allow_unpinned,
    )
    if not isinstance(bound, BindingMethod):
        raise Refused(bound.code, bound.sentence)
    attempt.peer = entry
    attempt.binding = bound.value


def permit(entry: PeerEntry, purpose: str, rules: ClientRules, attempt: Attempt) -> Decision:
    """Ask policy whether we answer an organisation for a purpose.

    Raises:
        Refused: with policy's reason.
    """
    known = rules.register.by_code(purpose)
    if known is None:
        raise Refused("purpose-unknown", "The purpose is not one of the exchange purposes.")
    decision = decide_inbound(
        InboundFacts(
            transaction=attempt.step,
            purpose=known.code,
            asker=PartyFacts(
                active=entry.active,
                suspended=entry.suspended,
                initiates=entry.initiates,
                unsigned_refused=entry.unsigned_refused,
            ),
            own_responds=rules.responds(),
            own_communities=frozenset(),
        ),
        rules.register,
    )
    attempt.rules = decision.rules
    if not decision.permitted:
        raise Refused(decision.reason or "purpose-unknown", decision.sentence or "It is refused.")
    return decision
