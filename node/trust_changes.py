"""Anchors, identities and clients of a node home, as the changes of trust that the log keeps.

``node.ledger.trust_change`` turns them into entries; no key material is ever in one.
"""

from __future__ import annotations

from datetime import timedelta

from node.crls import CrlEvent
from node.identity import IdentityFiles
from node.ledger.trust_change import TrustChange
from trust.anchors import Anchor
from trust.certificates import fingerprint, load_certificates
from trust.keys import spki_sha256
from trust.lifecycle import IdentityRecord
from trust.revocation_policy import RevocationRule


def of_anchor(act: str, anchor: Anchor) -> TrustChange:
    """A change of one anchor, such as ``anchor-add``; people's words for it stay private."""
    return TrustChange(
        act=act,
        thing=anchor.fingerprint,
        uses=tuple(map(str, anchor.uses)),
        private={
            "label": anchor.label,
            "network": anchor.network,
            "revocation": revocation_words(anchor.revocation),
        },
    )


def revocation_words(rule: RevocationRule) -> dict[str, object]:
    """The revocation policy of an anchor."""
    return {
        "policy": rule.policy.value,
        "unknown": rule.unknown.value,
        "grace_hours": rule.grace / timedelta(hours=1),
        "short_lived_hours": rule.short_lived / timedelta(hours=1),
    }


def of_client(name: str, files: IdentityFiles) -> TrustChange:
    """A local client got these files. Raises ``TrustError`` when they cannot be read."""
    certificate = load_certificates(files.certificate)[0]
    return TrustChange(
        act="client-add",
        thing=fingerprint(certificate),
        key=spki_sha256(certificate),
        private={"name": name},
    )


def of_crl(event: CrlEvent) -> TrustChange:
    """A CRL was accepted or refused; whom it came from, its number and its CA stay private."""
    known = {"source": event.source, "number": event.number, "anchor": event.anchor}
    return TrustChange(
        act="crl-accept" if event.code is None else "crl-refuse",
        thing=event.digest,
        reason=event.code,
        private={name: str(value) for name, value in known.items() if value is not None},
    )


def of_identity(act: str, role: str, record: IdentityRecord) -> TrustChange:
    """A change of one version of an identity of ours, such as ``identity-switch``."""
    return TrustChange(
        act=act,
        role=str(role),
        version=record.version,
        key=record.spki_sha256,
        thing=record.certificate_sha256,
        private={"reason": record.reason} if record.reason else {},
    )
