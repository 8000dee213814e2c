"""May this be asked, and may this be answered: facts in, one frozen decision out (DESIGN law 3).

Nothing is looked up here. The caller supplies the facts; every rule is a small function that gives
a reason code or nothing; the first rule that objects decides, and its id is in the decision. What
no rule allows is denied: an unknown purpose, a purpose that is not listed, a suspended entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from node.model import Code, HomeCommunityId, Step, Transaction
from node.policy.purposes import Duty, PurposeRegister
from node.policy.reasons import reason


class Effect(StrEnum):
    """What a decision says."""

    PERMIT = "permit"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of policy. ``reason`` and ``sentence`` are set when the effect is deny."""

    effect: Effect
    rules: tuple[str, ...]
    reason: str | None = None
    sentence: str | None = None

    @property
    def permitted(self) -> bool:
        """Whether the effect is permit."""
        return self.effect is Effect.PERMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyFacts:
    """What the directory and local settings say of an organisation.

    ``unsigned_refused``: nobody signed its entry, and our settings refuse such entries.
    """

    active: bool
    suspended: bool
    initiates: frozenset[str]
    responds: frozenset[str] = frozenset()
    unsigned_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundFacts:
    """The facts for answering one request of an authenticated peer.

    Attributes:
        transaction: what is asked.
        purpose: the asserted purpose.
        asker: the asker's directory entry.
        own_responds: purpose codes this node answers.
        own_communities: HCIDs this node serves.
        addressed: HCIDs that the request names as its target; empty when it names none.
        opted_out: whether the patient concerned asked not to share; unknown patients are not.
    """

    transaction: Step
    purpose: Code
    asker: PartyFacts
    own_responds: frozenset[str]
    own_communities: frozenset[HomeCommunityId]
    addressed: frozenset[HomeCommunityId] = frozenset()
    opted_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundFacts:
    """The facts for asking one peer: our own entry's purposes and what the peer's entry says.

    ``delivers``: documents are sent, nothing is asked.
    """

    purpose: Code
    own_initiates: frozenset[str]
    peer: PartyFacts
    delivers: bool = False


def _asker_status(facts: InboundFacts, _: PurposeRegister) -> str | None:
    return _status(facts.asker)


def _purpose_in_force(facts: InboundFacts, register: PurposeRegister) -> str | None:
    purpose = register.get(facts.purpose)
    if purpose is None:
        return "purpose-unknown"
    is_query = facts.transaction is not Transaction.ITI_80
    return "purpose-push-only" if is_query and purpose.duty is Duty.PUSH_ONLY else None


def _purpose_listed(facts: InboundFacts, _: PurposeRegister) -> str | None:
    return None if facts.purpose.code in facts.asker.initiates else "purpose-not-listed"


def _purpose_answered(facts: InboundFacts, _: PurposeRegister) -> str | None:
    return None if facts.purpose.code in facts.own_responds else "purpose-not-answered"


def _in_scope(facts: InboundFacts, _: PurposeRegister) -> str | None:
    return None if facts.addressed <= facts.own_communities else "wrong-community"


def _consent(facts: InboundFacts, _: PurposeRegister) -> str | None:
    return "patient-opted-out" if facts.opted_out else None


_INBOUND: tuple[tuple[str, Callable[[InboundFacts, PurposeRegister], str | None]], ...] = (
    ("in-1-asker-status", _asker_status),
    ("in-2-purpose-in-force", _purpose_in_force),
    ("in-3-purpose-listed", _purpose_listed),
    ("in-4-purpose-answered", _purpose_answered),
    ("in-5-scope", _in_scope),
    ("in-6-consent", _consent),
)


def decide_inbound(facts: InboundFacts, register: PurposeRegister) -> Decision:
    """Whether a request is answered (QTF-603, XP 4.5)."""
    for rule, check in _INBOUND:
        code = check(facts, register)
        if code is not None:
            return _deny(rule, code)
    return _ANSWERED


_ANSWERED = Decision(effect=Effect.PERMIT, rules=tuple(rule for rule, _ in _INBOUND))


def _own_purpose(facts: OutboundFacts, register: PurposeRegister) -> str | None:
    purpose = register.get(facts.purpose)
    if purpose is None:
        return "purpose-unknown"
    if purpose.duty is Duty.PUSH_ONLY and not facts.delivers:
        return "purpose-push-only"
    return None if facts.purpose.code in facts.own_initiates else "purpose-not-listed"


def _peer_status(facts: OutboundFacts, _: PurposeRegister) -> str | None:
    return _status(facts.peer)


def _status(party: PartyFacts) -> str | None:
    if party.suspended:
        return "peer-suspended"
    if party.unsigned_refused:
        return "unsigned-entry"
    return None if party.active else "peer-inactive"


def _peer_responds(facts: OutboundFacts, _: PurposeRegister) -> str | None:
    # an endpoint that lists no purposes promises nothing and excludes nothing (facts: tefca 7.1:
    # 412 rows of a real delivery have none), so it is asked and decides for itself
    responds = facts.peer.responds
    return None if not responds or facts.purpose.code in responds else "peer-does-not-respond"


_OUTBOUND: tuple[tuple[str, Callable[[OutboundFacts, PurposeRegister], str | None]], ...] = (
    ("out-1-own-purpose", _own_purpose),
    ("out-2-peer-status", _peer_status),
    ("out-3-peer-responds", _peer_responds),
)


def decide_asking(
    purpose: Code,
    own_initiates: frozenset[str],
    register: PurposeRegister,
    *,
    delivers: bool = False,
) -> Decision:
    """Whether we may ask anybody at all for a purpose: the first outbound rule by itself."""
    anybody = PartyFacts(active=True, suspended=False, initiates=frozenset())
    facts = OutboundFacts(
        purpose=purpose, own_initiates=own_initiates, peer=anybody, delivers=delivers
    )
    rule, check = _OUTBOUND[0]
    code = check(facts, register)
    return _deny(rule, code) if code else Decision(effect=Effect.PERMIT, rules=(rule,))


def decide_outbound(facts: OutboundFacts, register: PurposeRegister) -> Decision:
    """Whether a peer is asked at all (QTF-603: the initiating side checks its own entry)."""
    for rule, check in _OUTBOUND:
        code = check(facts, register)
        if code is not None:
            return _deny(rule, code)
    return Decision(effect=Effect.PERMIT, rules=tuple(rule for rule, _ in _OUTBOUND))


def _deny(rule: str, code: str) -> Decision:
    return Decision(effect=Effect.DENY, rules=(rule,), reason=code, sentence=reason(code).sentence)
