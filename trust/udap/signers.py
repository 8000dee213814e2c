"""Whether a token's signer belongs to a trust community (facts: fhir-and-udap 1.2).

A community is a set of anchors with a URI. Which one a token belongs to is decided by the chain of
its signer, never by what it says. Every certificate of the chain must be valid and not revoked, by
the rule of its anchor; a denied key or certificate refuses it whatever else holds.

A verdict is a value, with the decision for the log also where it is a refusal. Pure, given the
knowledge at hand: nothing is fetched, neither CRLs nor intermediates that a signer left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from trust.binding import BindingVerdict
from trust.binding_decision import decision_of
from trust.bound_chain import (
    BoundChain,
    KeyRole,
    Revocations,
    bound_chain,
    helped,
    judged_chains,
)
from trust.chain import ChainVerdict, Strength, verify_chain
from trust.decision import TrustDecision
from trust.key_floor import Finding
from trust.keys import spki_sha256
from trust.network_list.deny import Denied
from trust.trusted_time import clock_behind
from trust.undecodable import UNDECODABLE
from trust.usages import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Community:
    """A trust community: its URI, and the anchors that make it.

    ``strict`` are those below which keys under 128-bit strength are refused.
    """

    uri: str
    anchors: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    strict: frozenset[x509.Certificate] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerKnowledge:
    """What a signer is judged by at a moment.

    Attributes:
        communities: in the order in which they are tried.
        revocations: what CRLs and OCSP answers say; ``None`` asks nobody.
        denied: the keys that the network's authority denied.
        floor: what to do with keys below 128-bit strength.
        trusted: the highest time that was vouched for; with a clock behind it nobody is accepted.
    """

    communities: tuple[Community, ...]
    revocations: Revocations | None = None
    denied: Denied | None = None
    floor: Strength = Strength.WARN
    trusted: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerVerdict:
    """Whether a signer is a member of a community.

    Attributes:
        ok: the answer.
        community: the URI of the community, or ``None`` when refused.
        anchor: fingerprint of the anchor, or ``None`` when refused.
        key: SPKI SHA-256 of the leaf's key, hex; empty when it cannot be read.
        uris: the URIs of its SAN, as they stand.
        reason_code, sentence: why it is refused.
        decision: for the log.
        warnings: codes of what was let pass.
    """

    ok: bool
    community: str | None = None
    anchor: str | None = None
    key: str
    uris: tuple[str, ...] = ()
    reason_code: str | None = None
    sentence: str
    decision: TrustDecision | None = None
    warnings: tuple[str, ...] = ()


def judge_signer(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    knowledge: SignerKnowledge,
    *,
    now: datetime,
) -> SignerVerdict:
    """Judges the certificates of a token.

    Args:
        leaf: the signer's certificate.
        intermediates: the rest of ``x5c``.
        knowledge: of this moment.
        now: the current time; no tolerance is given on the validity of certificates.
    """
    wrong = clock_behind(now, knowledge.trusted) or _denial(
        (leaf, *intermediates), knowledge.denied
    )
    if wrong is not None:
        return _refused(leaf, (), wrong, knowledge, now)
    given = tuple(intermediates)
    if knowledge.revocations is not None:
        given = helped(leaf, given, knowledge.revocations)
    first: SignerVerdict | None = None
    for community in knowledge.communities:
        verdict = verify_chain(
            leaf,
            given,
            community.anchors,
            usage=Usage.UDAP_SIGNER,
            now=now,
            floor=knowledge.floor,
            strict=community.strict,
        )
        judged = _judged(verdict, leaf, community, knowledge, now)
        if judged.ok:
            return judged
        # what an anchor vouches for and a CRL refuses says more than that others do not know it
        first = judged if first is None or verdict.ok else first
    return first or _refused(
        leaf,
        (),
        Finding(code="anchor-unknown", sentence="No trust community is known to this node."),
        knowledge,
        now,
    )


def san_uris(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs of a certificate's SAN, byte for byte; none when they cannot be read."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    except (x509.ExtensionNotFound, *UNDECODABLE):
        return ()


def _judged(
    verdict: ChainVerdict,
    leaf: x509.Certificate,
    community: Community,
    knowledge: SignerKnowledge,
    now: datetime,
) -> SignerVerdict:
    chain = bound_chain(KeyRole.JWT_SIGNER, verdict, leaf)
    if not verdict.ok:
        finding = Finding(code=verdict.reason_code or "chain-refused", sentence=verdict.sentence)
        return _refused(leaf, (chain,), finding, knowledge, now)
    if knowledge.revocations is not None:
        (chain,) = judged_chains((chain,), knowledge.revocations, now=now)
    denied = _denial(chain.certificates, knowledge.denied)
    revocation = chain.revocation
    if denied is None and revocation is not None and not revocation.ok:
        denied = Finding(
            code=revocation.reason_code or "revocation-unknown", sentence=revocation.sentence
        )
    if denied is not None:
        return _refused(leaf, (chain,), denied, knowledge, now)
    warnings = (*verdict.warnings, *chain.warnings)
    bound = BindingVerdict(
        ok=True,
        sentence=verdict.sentence,
        key=spki_sha256(leaf),
        anchor=verdict.anchor,
        path=verdict.path,
        chains=(chain,),
        warnings=warnings,
        valid_until=verdict.valid_until,
    )
    decision = _decision(bound, knowledge, now)
    return SignerVerdict(
        ok=True,
        community=community.uri,
        anchor=verdict.anchor,
        key=bound.key,
        uris=san_uris(leaf),
        sentence=verdict.sentence,
        decision=decision,
        warnings=decision.warnings,
    )


def _refused(
    leaf: x509.Certificate,
    chains: tuple[BoundChain, ...],
    finding: Finding,
    knowledge: SignerKnowledge,
    now: datetime,
) -> SignerVerdict:
    try:
        key = spki_sha256(leaf)
    except UNDECODABLE:
        key = ""
    bound = BindingVerdict(
        ok=False,
        reason_code=finding.code,
        sentence=finding.sentence,
        key=key,
        role=KeyRole.JWT_SIGNER,
        chains=chains,
    )
    return SignerVerdict(
        ok=False,
        key=key,
        uris=san_uris(leaf),
        reason_code=finding.code,
        sentence=finding.sentence,
        decision=_decision(bound, knowledge, now),
    )


def _decision(verdict: BindingVerdict, knowledge: SignerKnowledge, now: datetime) -> TrustDecision:
    listed = knowledge.denied.list_in_use() if knowledge.denied is not None else None
    return decision_of(verdict, judged=now, network_list=listed)


def _denial(certificates: Iterable[x509.Certificate], denied: Denied | None) -> Finding | None:
    for certificate in certificates if denied is not None else ():
        if denied is not None and denied.denial(certificate) is not None:
            return Finding(
                code="key-denied", sentence="The network's authority denied a signer's key."
            )
    return None
