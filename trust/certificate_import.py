"""The questions asked of a certificate from a CA before it becomes ours (facts pki A2).

Every question is asked; a person gets all answers together. An empty tuple means: import it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from trust.certificates import Bundle, comparable_host, fingerprint, san_hosts
from trust.chain import Finding, Strength, verify_chain
from trust.keys import PrivateKey, PublicKey, spki_sha256
from trust.usages import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportContext:
    """What the answers depend on.

    Attributes:
        key: the key the certificate must be for.
        usages: what it shall be used for.
        hosts: the hosts of our own endpoints; empty when it is not for TLS serving.
        anchors: the anchors of the network, one of which must have issued it.
        floor: what to do with keys below 128-bit strength.
        known_fingerprints: certificates that we hold already.
        retired_keys: SPKI SHA-256 of keys that must not come back.
    """

    key: PrivateKey | PublicKey
    usages: tuple[Usage, ...]
    hosts: tuple[str, ...] = ()
    anchors: tuple[x509.Certificate, ...] = ()
    floor: Strength = Strength.WARN
    known_fingerprints: Collection[str] = ()
    retired_keys: Collection[str] = ()


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
    spki = spki_sha256(leaf)
    refusals: list[Finding] = []
    warnings: list[Finding] = []
    if spki != spki_sha256(context.key):
        refusals.append(
            Finding(code="key-mismatch", sentence="The certificate was issued for another key.")
        )
    if spki in context.retired_keys:
        refusals.append(
            Finding(code="key-retired", sentence="The certificate is for a key that was retired.")
        )
    if fingerprint(leaf) in context.known_fingerprints:
        refusals.append(
            Finding(code="certificate-duplicate", sentence="This certificate is held already.")
        )
    refusals.extend(_names_missing(leaf, context.hosts))
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
        warnings.extend(verdict.warnings)
    return ImportVerdict(
        refusals=tuple(dict.fromkeys(refusals)), warnings=tuple(dict.fromkeys(warnings))
    )


def _names_missing(leaf: x509.Certificate, hosts: Iterable[str]) -> list[Finding]:
    covered = san_hosts(leaf)
    return [
        Finding(
            code="certificate-name-missing",
            sentence=f"The certificate does not cover {host!r}, a host of our own endpoints.",
        )
        for host in hosts
        if comparable_host(host) not in covered
    ]
