"""The questions asked of a certificate from a CA before it becomes ours (facts pki A2).

Every question is asked; a person gets all answers together. An empty tuple means: import it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from trust.certificates import Bundle, comparable_host, describe, fingerprint, san_hosts
from trust.chain import Finding, Strength, verify_chain
from trust.keys import PrivateKey, PublicKey, spki_sha256
from trust.revocation_policy import RevocationDecision
from trust.usages import Usage

Revocation = Callable[[Sequence[x509.Certificate]], RevocationDecision]
"""Judges a validated path, leaf first and anchor last, by what is known of revocation."""

SerialName = tuple[bytes, int]
"""A certificate by its issuer's name in DER and its serial number."""


def serial_name(certificate: x509.Certificate) -> SerialName:
    """What no two certificates of one CA may share (RFC 5280 4.1.2.2)."""
    return certificate.issuer.public_bytes(), certificate.serial_number


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportContext:
    """What the answers depend on.

    Attributes:
        key: the key the certificate must be for.
        usages: what it shall be used for.
        hosts: the hosts of our own endpoints; empty when it is not for TLS serving.
        uris: the URIs it must carry, compared byte for byte.
        anchors: the anchors of the network, one of which must have issued it.
        floor: what to do with keys below 128-bit strength.
        known_fingerprints: certificates that we hold already.
        known_serials: the same by issuer and serial number.
        compromised_keys: SPKI SHA-256 of keys that must never come back.
        used_keys: SPKI SHA-256 of keys that were, or are, another version's or identity's.
        allow_used_key: take a used key all the same; never a compromised one.
        revocation: judges the chain; ``None`` where nothing is known of revocation.
    """

    key: PrivateKey | PublicKey
    usages: tuple[Usage, ...]
    hosts: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    anchors: tuple[x509.Certificate, ...] = ()
    floor: Strength = Strength.WARN
    known_fingerprints: Collection[str] = ()
    known_serials: Collection[SerialName] = ()
    compromised_keys: Collection[str] = ()
    used_keys: Collection[str] = ()
    allow_used_key: bool = False
    revocation: Revocation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportVerdict:
    """Refusals and warnings, each with code and sentence; ``ok`` when nothing refuses."""

    refusals: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the certificate may be imported."""
        return not self.refusals


def check_import(bundle: Bundle, context: ImportContext, *, now: datetime) -> ImportVerdict:
    """Asks every import question of a bundle."""
    leaf = bundle.leaf
    refusals = [*_key_refusals(leaf, context), *_names_missing(leaf, context)]
    warnings: list[Finding] = []
    known = fingerprint(leaf) in context.known_fingerprints
    if known or serial_name(leaf) in context.known_serials:
        refusals.append(
            Finding(
                code="certificate-duplicate",
                sentence="This certificate is held already, or another of its issuer and serial.",
            )
        )
    if bundle.roots:
        warnings.append(
            Finding(
                code="bundle-holds-root",
                sentence="The file carries a root certificate, which is left out when serving.",
            )
        )
    if bundle.strangers:
        warnings.append(
            Finding(
                code="bundle-holds-strangers",
                sentence="The file carries certificates outside the chain; they are left out.",
            )
        )
    for usage in context.usages:
        verdict = verify_chain(
            leaf,
            bundle.intermediates,
            context.anchors,
            usage=usage,
            now=now,
            floor=context.floor,
        )
        if not verdict.ok:
            refusals.append(
                Finding(code=verdict.reason_code or "chain-refused", sentence=verdict.sentence)
            )
        elif context.revocation is not None:
            decision = context.revocation(verdict.certificates)
            if not decision.ok:
                code = decision.reason_code or "certificate-revoked"
                refusals.append(Finding(code=code, sentence=decision.sentence))
            warnings.extend(decision.warnings)
        else:
            warnings.append(
                Finding(
                    code="revocation-not-asked",
                    sentence="Nothing is known here of whether the certificate was revoked.",
                )
            )
        warnings.extend(verdict.warnings)
    return ImportVerdict(
        refusals=tuple(dict.fromkeys(refusals)), warnings=tuple(dict.fromkeys(warnings))
    )


def _key_refusals(leaf: x509.Certificate, context: ImportContext) -> Iterable[Finding]:
    spki = spki_sha256(leaf)
    if spki != spki_sha256(context.key):
        yield Finding(code="key-mismatch", sentence="The certificate was issued for another key.")
    if spki in context.compromised_keys:
        yield Finding(
            code="key-compromised", sentence="The certificate is for a key that was compromised."
        )
    elif spki in context.used_keys and not context.allow_used_key:
        yield Finding(
            code="key-used-before",
            sentence="The certificate is for a key that an earlier version or another identity "
            "of ours has used.",
        )


def _names_missing(leaf: x509.Certificate, context: ImportContext) -> list[Finding]:
    covered, uris = san_hosts(leaf), describe(leaf).uris
    missing = [
        Finding(
            code="certificate-name-missing",
            sentence=f"The certificate does not carry the URI {uri!r} that names us.",
        )
        for uri in context.uris
        if uri not in uris
    ]
    return missing + [
        Finding(
            code="certificate-name-missing",
            sentence=f"The certificate does not cover {host!r}, a host of our own endpoints.",
        )
        for host in context.hosts
        if comparable_host(host) not in covered
    ]
