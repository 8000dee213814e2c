"""Whether the keys a peer showed belong to the organisation it claims to be.

A chain proves that some CA knows somebody; it does not say which organisation of the directory that
is. So every key of an exchange, the TLS certificate, the assertion's signer and the holder-of-key
key, is bound to the one directory entry (facts pki A8):

* **pinned**: pins of the organisation are known, and each key is one of them. A certificate must
  still be in its validity, strong enough and of the right use. The TLS certificate's chain must end
  at an anchor, as it had to in the handshake: an anchor that is gone ends open connections too. The
  chain of another pinned certificate is not asked for; where it leads to an anchor of ours all the
  same, the certificate must not be revoked.
* **anchor+name**: no pins are known, and the node's settings allow that: each certificate chains to
  an anchor authorised for its use, and one of its SAN names is a host of the entry's endpoints or
  of the QHIN that manages the entry. A bare key must equal a key that was bound so.

Revocation is asked by the rule of each chain's anchor, from knowledge at hand (``Revocations``);
nothing is fetched here.

Names are compared as lower-case A-labels, exactly: no wildcard, never the common name, an IP
address only where the directory lists that address. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from trust.bound_chain import (
    BoundChain,
    KeyRole,
    Revocations,
    bound_chain,
    chain_of_pinned,
    helped,
    judged_chains,
)
from trust.certificates import comparable_host, fingerprint, san_hosts
from trust.chain import ChainVerdict, Finding, Strength, check_leaf, verify_chain
from trust.decision import TrustDecision
from trust.keys import PublicKey, spki_sha256
from trust.undecodable import UNDECODABLE
from trust.usages import Usage

Presented = x509.Certificate | PublicKey


class BindingMethod(StrEnum):
    """How keys were bound; this text stands in the ledger entry."""

    PINNED = "pinned"
    ANCHOR_AND_NAME = "anchor+name"


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedKeys:
    """What a peer showed in one exchange.

    Attributes:
        tls_leaf: its TLS certificate.
        saml_signer: the certificate or key that verified its assertion, if there was one.
        holder_of_key: the certificate or key that verified its signed Timestamp, if there was one.
        intermediates: all further certificates it sent, in TLS and in the message.
        tls_usage: ``TLS_CLIENT`` for one who asks us, ``TLS_SERVER`` for one whom we ask.
    """

    tls_leaf: x509.Certificate
    saml_signer: Presented | None = None
    holder_of_key: Presented | None = None
    intermediates: tuple[x509.Certificate, ...] = ()
    tls_usage: Usage = Usage.TLS_CLIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationTrust:
    """What we know of an organisation's keys and hosts.

    Attributes:
        organization_id: the id of its directory entry.
        pins: SPKI SHA-256 in hex of its keys; for TLS also SHA-256 of a whole certificate.
        host_names: hosts of the entry's endpoint addresses.
        manager_host_names: hosts of the endpoints of the QHIN that manages the entry.
        contested_host_names: hosts that an entry of another QHIN claims as well; they bind nothing.
        listed: whether the signed network list has the entry: only then do anchors that only the
            list has vouch for it.
    """

    organization_id: str
    pins: frozenset[str] = frozenset()
    host_names: frozenset[str] = frozenset()
    manager_host_names: frozenset[str] = frozenset()
    contested_host_names: frozenset[str] = frozenset()
    listed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingVerdict:
    """Whether all keys are the organisation's.

    Attributes:
        ok: the answer.
        method: how they were bound, or ``None`` when refused.
        reason_code: ``None``, or why not (a row of ``data/errors.toml``).
        sentence: what a person reads.
        key: SPKI SHA-256 of the TLS key when bound, else of the key that was refused.
        role: the part of the refused key, or ``None``.
        host_name: the name that bound the TLS certificate, for ``anchor+name``.
        anchor: fingerprint of the anchor of the TLS certificate.
        path: SPKI SHA-256 of the TLS certificate's chain.
        chains: what stands above each certificate, as far as it was judged.
        warnings: tolerated weaknesses, and what a soft rule for revocation let pass.
        valid_until: the first moment at which time alone ends the verdict; ``None`` when refused.
        decision: the same for the log, where a ``Binder`` judged.
    """

    ok: bool
    method: BindingMethod | None = None
    reason_code: str | None = None
    sentence: str
    key: str
    role: KeyRole | None = None
    host_name: str | None = None
    anchor: str | None = None
    path: tuple[str, ...] = ()
    chains: tuple[BoundChain, ...] = ()
    warnings: tuple[Finding, ...] = ()
    valid_until: datetime | None = None
    decision: TrustDecision | None = None


_NOT_PINNED = {
    KeyRole.TLS: "tls-key-not-bound",
    KeyRole.SAML_SIGNER: "saml-signer-key-not-bound",
    KeyRole.HOLDER_OF_KEY: "holder-of-key-not-bound",
}
_NOT_NAMED = {
    KeyRole.TLS: "tls-name-not-bound",
    KeyRole.SAML_SIGNER: "saml-signer-name-not-bound",
    KeyRole.HOLDER_OF_KEY: "holder-of-key-name-not-bound",
}
_WORDS = {
    KeyRole.TLS: "TLS certificate",
    KeyRole.SAML_SIGNER: "assertion's signer",
    KeyRole.HOLDER_OF_KEY: "holder-of-key key",
}


def bind(
    presented: PresentedKeys,
    trust: OrganizationTrust,
    anchors: Mapping[Usage, Sequence[x509.Certificate]],
    *,
    allow_unpinned: bool,
    now: datetime,
    floor: Strength = Strength.WARN,
    strict: Collection[x509.Certificate] = frozenset(),
    revocations: Revocations | None = None,
) -> BindingVerdict:
    """Binds every presented key to one organisation, or says which one does not belong.

    Args:
        presented: the keys of the exchange.
        trust: what the directory and our pins say of the organisation.
        anchors: the authorised anchors per use (``trust.anchors.authorised``).
        allow_unpinned: whether organisations without pins may be bound by anchor and name.
        now: the moment to judge at.
        floor: what to do with keys below 128-bit strength.
        strict: anchors under which such keys are refused whatever ``floor`` says.
        revocations: what is known of revocation; ``None`` asks nobody.
    """
    if trust.pins and revocations is not None:
        given = helped(presented.tls_leaf, presented.intermediates, revocations)
        presented = replace(presented, intermediates=given)
    verdict = _bind(
        presented,
        trust,
        anchors,
        allow_unpinned=allow_unpinned,
        now=now,
        floor=floor,
        strict=strict,
    )
    if not verdict.ok or revocations is None:
        return verdict
    chains = verdict.chains or tuple(
        chain_of_pinned(
            role,
            shown,
            presented.intermediates,
            anchors,
            usage=_usage(role, presented),
            now=now,
            revocations=revocations,
        )
        for role, shown in _shown(presented)
        if isinstance(shown, x509.Certificate)
    )
    return _unrevoked(verdict, judged_chains(chains, revocations, now=now))


def _unrevoked(verdict: BindingVerdict, chains: tuple[BoundChain, ...]) -> BindingVerdict:
    for chain in chains:
        decision = chain.revocation
        if decision is not None and not decision.ok:
            return BindingVerdict(
                ok=False,
                reason_code=decision.reason_code,
                sentence=f"The {_WORDS[chain.role]}: {decision.sentence}",
                key=chain.path[0],
                role=chain.role,
                chains=chains,
            )
    ends = [end for end in (verdict.valid_until, *(c.ends for c in chains)) if end is not None]
    warnings = dict.fromkeys((*verdict.warnings, *(w for c in chains for w in c.warnings)))
    return replace(
        verdict, chains=chains, warnings=tuple(warnings), valid_until=min(ends, default=None)
    )


def _bind(
    presented: PresentedKeys,
    trust: OrganizationTrust,
    anchors: Mapping[Usage, Sequence[x509.Certificate]],
    *,
    allow_unpinned: bool,
    now: datetime,
    floor: Strength,
    strict: Collection[x509.Certificate],
) -> BindingVerdict:
    if trust.pins:
        return _bind_pinned(presented, trust, anchors, now=now, floor=floor, strict=strict)
    if not allow_unpinned:
        return BindingVerdict(
            ok=False,
            reason_code="peer-not-pinned",
            sentence="No key of this organisation is pinned, and unpinned peers are not accepted.",
            key=_key_name(presented.tls_leaf),
            role=KeyRole.TLS,
        )
    return _bind_named(presented, trust, anchors, now=now, floor=floor, strict=strict)


def _bind_pinned(
    presented: PresentedKeys,
    trust: OrganizationTrust,
    anchors: Mapping[Usage, Sequence[x509.Certificate]],
    *,
    now: datetime,
    floor: Strength,
    strict: Collection[x509.Certificate],
) -> BindingVerdict:
    for role, shown in _shown(presented):
        if isinstance(shown, x509.Certificate):
            usage = _usage(role, presented)
            finding = check_leaf(shown, usage=usage, now=now, floor=floor)
            if finding is not None:
                return _refused(role, shown, finding)
        pinned = spki_sha256(shown) in trust.pins or (
            role is KeyRole.TLS
            and isinstance(shown, x509.Certificate)
            and fingerprint(shown) in trust.pins
        )
        if not pinned:
            return _refused(
                role,
                shown,
                Finding(
                    code=_NOT_PINNED[role],
                    sentence=f"The {_WORDS[role]} is not pinned for this organisation.",
                ),
            )
    chain = verify_chain(
        presented.tls_leaf,
        presented.intermediates,
        anchors.get(presented.tls_usage, ()),
        usage=presented.tls_usage,
        now=now,
        floor=floor,
        strict=strict,
    )
    if not chain.ok or chain.valid_until is None:
        code = chain.reason_code or "chain-refused"
        finding = Finding(code=code, sentence=chain.sentence)
        return _refused(KeyRole.TLS, presented.tls_leaf, finding)
    ends = (s.not_valid_after_utc for _, s in _shown(presented) if isinstance(s, x509.Certificate))
    return BindingVerdict(
        ok=True,
        method=BindingMethod.PINNED,
        sentence="Every key is pinned for this organisation.",
        key=spki_sha256(presented.tls_leaf),
        anchor=chain.anchor,
        path=chain.path,
        warnings=chain.warnings,
        valid_until=min(chain.valid_until, *ends),
    )


def _bind_named(
    presented: PresentedKeys,
    trust: OrganizationTrust,
    anchors: Mapping[Usage, Sequence[x509.Certificate]],
    *,
    now: datetime,
    floor: Strength,
    strict: Collection[x509.Certificate],
) -> BindingVerdict:
    bound: dict[str, tuple[ChainVerdict, str]] = {}
    chains: dict[tuple[x509.Certificate, Usage], ChainVerdict] = {}
    found: list[BoundChain] = []
    for role, shown in _shown(presented):
        if not isinstance(shown, x509.Certificate):
            continue
        usage = _usage(role, presented)
        # Signer and holder of key are mostly one certificate: its chain is walked once.
        chain = chains.get((shown, usage)) or verify_chain(
            shown,
            presented.intermediates,
            anchors.get(usage, ()),
            usage=usage,
            now=now,
            floor=floor,
            strict=strict,
        )
        chains[shown, usage] = chain
        if not chain.ok:
            code = chain.reason_code or "chain-refused"
            return _refused(role, shown, Finding(code=code, sentence=chain.sentence))
        name = _bound_name(role, shown, trust)
        if isinstance(name, Finding):
            return _refused(role, shown, name)
        bound.setdefault(spki_sha256(shown), (chain, name))
        found.append(bound_chain(role, chain, shown))
    for role, shown in _shown(presented):
        if spki_sha256(shown) not in bound:
            sentence = f"The {_WORDS[role]} is a bare key that no bound certificate holds."
            return _refused(role, shown, Finding(code=_NOT_PINNED[role], sentence=sentence))
    tls_key = spki_sha256(presented.tls_leaf)
    chain, name = bound[tls_key]
    warnings = dict.fromkeys(w for verdict in chains.values() for w in verdict.warnings)
    return BindingVerdict(
        ok=True,
        method=BindingMethod.ANCHOR_AND_NAME,
        sentence="Every certificate has an authorised anchor and names a host of the organisation.",
        key=tls_key,
        host_name=name,
        anchor=chain.anchor,
        path=chain.path,
        chains=tuple(found),
        warnings=tuple(warnings),
        valid_until=min(c.valid_until for c in chains.values() if c.valid_until is not None),
    )


def _bound_name(
    role: KeyRole, certificate: x509.Certificate, trust: OrganizationTrust
) -> str | Finding:
    named = san_hosts(certificate)
    contested = _comparable(trust.contested_host_names)
    # The entry's own hosts first: the verdict shall name the closest tie.
    for hosts in (_comparable(trust.host_names), _comparable(trust.manager_host_names)):
        if common := sorted((named & hosts) - contested):
            return common[0]
    if named & contested:
        return Finding(
            code="host-name-contested",
            sentence=f"The {_WORDS[role]} names a host that unrelated entries claim as well.",
        )
    return Finding(
        code=_NOT_NAMED[role],
        sentence=f"The {_WORDS[role]} names no host of this organisation's endpoints.",
    )


def _comparable(hosts: frozenset[str]) -> frozenset[str]:
    return frozenset(h for host in hosts if (h := comparable_host(host)) is not None)


def _shown(presented: PresentedKeys) -> list[tuple[KeyRole, Presented]]:
    all_roles = (
        (KeyRole.TLS, presented.tls_leaf),
        (KeyRole.SAML_SIGNER, presented.saml_signer),
        (KeyRole.HOLDER_OF_KEY, presented.holder_of_key),
    )
    return [(role, shown) for role, shown in all_roles if shown is not None]


def _usage(role: KeyRole, presented: PresentedKeys) -> Usage:
    return presented.tls_usage if role is KeyRole.TLS else Usage.SAML_SIGNER


def _refused(role: KeyRole, shown: Presented, finding: Finding) -> BindingVerdict:
    return BindingVerdict(
        ok=False,
        reason_code=finding.code,
        sentence=finding.sentence,
        key=_key_name(shown),
        role=role,
    )


def _key_name(shown: Presented) -> str:
    try:
        return spki_sha256(shown)
    except UNDECODABLE:  # a certificate with a key of no known kind
        return fingerprint(shown) if isinstance(shown, x509.Certificate) else ""
