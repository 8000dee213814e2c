"""Who asks: from the TLS certificate and the Security header to an ``Asker``, or to a ``Refusal``.

The checks in their order; the first that fails ends it:

1. the connection has a client certificate;
2. the Security header holds (``trust.wssecurity``: signatures, holder-of-key, times, form and
   meaning of every claim);
3. the directory knows the home community that the proved claims name, and the same one was claimed
   before the proof;
4. the organisation id names an entry that is that community's or lies under it (QTF-504);
5. every key, TLS, signer and holder-of-key, is bound to that community's entry (``trust.binding``);
6. the message was not accepted before. Last, so that nothing unproved fills the replay cache.

A refusal is a value. Its code goes to the log and the ledger; the peer gets ``Verdict.fault``,
whose text is the same whatever failed (facts: ihe-wire 1.3).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from cryptography import x509

from node.errors import WireError
from node.exchange.ports import Asker, PeerEntry, Refusal
from node.gateway.protocol import TlsPeer
from node.model import Code, HomeCommunityId, PatientId, Peer, Principal, Transaction
from node.wire.faults import Subcode
from node.wire.identifiers import home_community_id, parse_cx
from node.wire.names import WSSE, WSU
from node.wire.soap import Envelope
from trust.binder import Binder
from trust.binding import BindingVerdict, OrganizationTrust, PresentedKeys
from trust.decision import TrustDecision
from trust.errors import TrustError
from trust.replay import ReplayGuard
from trust.saml_claims import CodedClaim, XuaClaims
from trust.wssecurity import (
    SecurityPolicy,
    VerifiedSecurity,
    claimed_home_community_id,
    fault_subcode,
    verify_security,
)

EXCEPTIONS = frozenset({"sha1-signature"})
"""Deviations that only a peer's profile allows: the decision about its keys names them as well."""

_ORGANIZATION = "Organization/"
_NAMESPACES = {"wsse": WSSE, "wsu": WSU}


class TrustFacts(Protocol):
    """What authentication needs to know of the directory and of our pins, at this moment."""

    def by_home_community_id(self, hcid: HomeCommunityId) -> PeerEntry | None:
        """The entry with an HCID, or ``None``."""
        ...

    def by_organization_id(self, organization_id: str) -> PeerEntry | None:
        """The entry with a directory id, or ``None``."""
        ...

    def lies_under(self, organization_id: str, ancestor_id: str) -> bool:
        """Whether an entry is another one or is below it by ``partOf``."""
        ...

    def organization_trust(self, entry: PeerEntry) -> OrganizationTrust:
        """Pins of an entry, and the hosts of its endpoints and of its managing QHIN's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Outcome of authentication.

    Attributes:
        asker: who asks, or why they are refused.
        fault: the subcode with which a refusal is answered; ``None`` when accepted.
        claimed: for a refusal, the entry that the message says it comes from; for the ledger only.
        deviations: tolerated deviations of the Security header.
        trust: the decision about the keys, as far as they were judged.
        closes: whether the connection ends with the answer: its keys are nobody's we may talk to.
        confirms: base64 of the request's endorsing signature, for SignatureConfirmation.
    """

    asker: Asker | Refusal
    fault: Subcode | None = None
    claimed: Peer | None = None
    deviations: tuple[str, ...] = ()
    trust: TrustDecision | None = None
    closes: bool = False
    confirms: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Decides who asks. Holds no state but the replay guard's.

    Attributes:
        facts: the directory and the pins.
        replay: remembers accepted messages.
        binder: the authorised anchors, and whether peers without pins may be bound by name.
        policy: what is demanded of the Security header of a peer; the entry is the claimed one
            (``None`` for an unknown peer) and chooses the peer's profile, never its identity.
        seen: told of the TLS certificate of an entry to which it is bound; must not wait.
    """

    facts: TrustFacts
    replay: ReplayGuard
    binder: Binder
    policy: Callable[[PeerEntry | None], SecurityPolicy]
    seen: Callable[[PeerEntry, x509.Certificate], None] = lambda _entry, _leaf: None

    def authenticate(
        self, envelope: Envelope, peer: TlsPeer | None, transaction: Transaction, now: datetime
    ) -> Verdict:
        """Judge one request; takes a fraction of a millisecond and never waits."""
        claimed = self._claimed(envelope)
        security: VerifiedSecurity | None = None
        bound: BindingVerdict | None = None
        try:
            tls = _present(peer)
            security = verify_security(envelope.root, policy=self.policy(claimed), now=now)
            entry = self._entry(security.claims, claimed)
            bound = self._bind(security, tls, entry, now)
            method = _accepted(bound)
            self.seen(entry, tls.certificates.leaf)
            self.replay.accept(security.replay_key, until=security.not_on_or_after, now=now)
        except (TrustError, _Refused) as refused:
            return Verdict(
                asker=Refusal(code=refused.code, sentence=refused.sentence, detail=refused.detail),
                fault=_subcode(refused),
                claimed=claimed.peer(transaction) if claimed else None,
                deviations=security.deviations if security else (),
                trust=bound.decision if bound else None,
                closes=bound is not None and not bound.ok,
            )
        signature = security.timestamp_signature
        return Verdict(
            asker=Asker(
                principal=_principal(security.claims),
                entry=entry,
                binding=method,
                assertion_id=security.assertion_id,
                issuer=security.claims.issuer,
                patient_id=_patient(security.claims.resource_id),
            ),
            deviations=security.deviations,
            trust=bound.decision,
            confirms=base64.b64encode(signature).decode("ascii") if signature else None,
        )

    def _claimed(self, envelope: Envelope) -> PeerEntry | None:
        claim = claimed_home_community_id(envelope.root)
        return self._by_hcid(claim) if claim else None

    def _by_hcid(self, text: str) -> PeerEntry | None:
        try:
            return self.facts.by_home_community_id(home_community_id(text))
        except WireError:
            return None

    def _entry(self, claims: XuaClaims, claimed: PeerEntry | None) -> PeerEntry:
        """The entry of the proved HCID, with what its most granular entry adds to it."""
        entry = self._by_hcid(claims.home_community_id or "")
        if entry is None:
            raise _Refused("unknown-peer", "The directory does not know the home community.")
        if claimed is None or claimed.organization_id != entry.organization_id:
            raise _Refused("claim-conflict", "The message names two home communities.")
        organization_id = (claims.organization_id or "").removeprefix(_ORGANIZATION)
        organization = self.facts.by_organization_id(organization_id)
        if organization is None:
            raise _Refused("unknown-organization", "The directory does not know the organisation.")
        if not self.facts.lies_under(organization_id, entry.organization_id):
            raise _Refused(
                "organization-elsewhere", "The organisation is not part of the home community."
            )
        # Purposes are listed for the node (QTF-603); a part of it that is closed stays closed.
        active = entry.active and organization.active
        suspended = entry.suspended or organization.suspended
        unsigned = entry.unsigned_refused or organization.unsigned_refused
        before = (entry.active, entry.suspended, entry.unsigned_refused)
        if (active, suspended, unsigned) == before:
            return entry
        return replace(entry, active=active, suspended=suspended, unsigned_refused=unsigned)

    def _bind(
        self, security: VerifiedSecurity, peer: TlsPeer, entry: PeerEntry, now: datetime
    ) -> BindingVerdict:
        return self.binder.bind(
            PresentedKeys(
                tls_leaf=peer.certificates.leaf,
                saml_signer=security.signer_certificate or security.signer_key,
                holder_of_key=security.holder_certificate or security.holder_key,
                intermediates=(
                    *peer.certificates.intermediates,
                    *security.signer_certificates,
                ),
            ),
            self.facts.organization_trust(entry),
            now=now,
            exceptions=tuple(name for name in security.deviations if name in EXCEPTIONS),
        )


class _Refused(Exception):
    """Ends the order of checks; never leaves this module."""

    def __init__(self, code: str, sentence: str, detail: str | None = None) -> None:
        super().__init__(code)
        self.code, self.sentence, self.detail = code, sentence, detail


def _present(peer: TlsPeer | None) -> TlsPeer:
    if peer is None:
        raise _Refused("client-certificate-missing", "There is no client certificate.")
    return peer


def _accepted(bound: BindingVerdict) -> str:
    """How the keys were bound; ends the order of checks when they were not."""
    if bound.ok and bound.method is not None:
        return str(bound.method)
    raise _Refused(
        bound.reason_code or "tls-key-not-bound",
        bound.sentence,
        f"{bound.role or 'key'} {bound.key}",
    )


def _subcode(error: TrustError | _Refused) -> Subcode:
    if isinstance(error, _Refused):
        return Subcode.FAILED_AUTHENTICATION
    prefix, _, local = fault_subcode(error).partition(":")
    try:
        return Subcode(f"{{{_NAMESPACES[prefix]}}}{local}")
    except (KeyError, ValueError):
        return Subcode.FAILED_AUTHENTICATION


def _principal(claims: XuaClaims) -> Principal:
    """The principal of verified and checked claims: what is required is there."""
    return Principal(
        subject_id=claims.subject_id or "",
        user_id=claims.name_id or "",
        organization=claims.organization or "",
        organization_id=(claims.organization_id or "").removeprefix(_ORGANIZATION),
        home_community_id=home_community_id(claims.home_community_id or ""),
        role=_code(claims.roles[0]),
        purpose=_code(claims.purposes[0]),
        npi=claims.npi,
        id_token=claims.id_token,
    )


def _code(claim: CodedClaim) -> Code:
    return Code(code=claim.code, scheme=claim.system or "", display=claim.display)


def _patient(resource_id: str | None) -> PatientId | None:
    if resource_id is None:
        return None
    try:
        return parse_cx(resource_id)
    except WireError:
        return None
