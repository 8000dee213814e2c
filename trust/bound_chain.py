"""The chain of one presented certificate: where it leads, and what is known of its revocation.

Part of every binding (``trust.binding``). A bound certificate without a revoked chain is asked for
in both ways of binding: a pinned key that an anchor of ours stands behind is refused like any other
when its CA revoked it. Pure, given the knowledge at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cryptography import x509

from trust.chain import MAX_INTERMEDIATES, ChainVerdict, verify_chain
from trust.key_floor import Finding
from trust.keys import spki_sha256
from trust.path import Path
from trust.revocation_policy import RevocationDecision
from trust.usages import Usage


class KeyRole(StrEnum):
    """The part a key plays in an exchange."""

    TLS = "tls"
    SAML_SIGNER = "saml-signer"
    HOLDER_OF_KEY = "holder-of-key"
    JWT_SIGNER = "jwt-signer"


class Revocations(Protocol):
    """What is known of revocation at this moment."""

    def generation(self) -> int:
        """A number that is another one whenever the knowledge is."""
        ...

    def judge(self, path: Path, *, now: datetime) -> RevocationDecision:
        """Judges a validated path, leaf first, anchor last, by the rule of its anchor."""
        ...

    def issuers(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """CA certificates at hand that may stand above a certificate that came without them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundChain:
    """What was found above one certificate of a binding.

    Attributes:
        role: the part of its key.
        path: SPKI SHA-256 of each certificate, leaf first; of the leaf alone without an anchor.
        certificates: the validated path; empty without an anchor.
        anchor: fingerprint of the anchor, or ``None``.
        reason_code: why there is no anchor above it, or ``None``; only a pinned key may lack one.
        revocation: the judgement by the anchor's rule; ``None`` when nobody could be asked.
    """

    role: KeyRole
    path: tuple[str, ...]
    certificates: Path = field(default=(), repr=False)
    anchor: str | None = None
    reason_code: str | None = None
    revocation: RevocationDecision | None = None

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What a soft rule let pass."""
        return self.revocation.warnings if self.revocation is not None else ()

    @property
    def ends(self) -> datetime | None:
        """When time alone ends what is known for certain; doubts end with new knowledge instead."""
        known = self.revocation.certificates if self.revocation is not None else ()
        return min(
            (s.until for s in known if s.until is not None and s.reason_code is None), default=None
        )


def bound_chain(role: KeyRole, verdict: ChainVerdict, leaf: x509.Certificate) -> BoundChain:
    """The chain of a verdict of ``verify_chain``; revocation is not judged yet."""
    return BoundChain(
        role=role,
        path=verdict.path or (spki_sha256(leaf),),
        certificates=verdict.certificates,
        anchor=verdict.anchor,
        reason_code=verdict.reason_code,
    )


def chain_of_pinned(
    role: KeyRole,
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Mapping[Usage, Sequence[x509.Certificate]],
    *,
    usage: Usage,
    now: datetime,
    revocations: Revocations,
) -> BoundChain:
    """The chain of a pinned certificate, with help from what we hold.

    A peer whose certificate was revoked must not escape by leaving its intermediates out: those
    that signed CRLs of ours are tried as well. Any anchor will do, whatever it is authorised for.
    """
    given = helped(leaf, intermediates, revocations)
    every = dict.fromkeys(a for some in anchors.values() for a in some)
    verdict = verify_chain(leaf, given, every, usage=usage, now=now)
    return bound_chain(role, verdict, leaf)


def helped(
    leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], revocations: Revocations
) -> tuple[x509.Certificate, ...]:
    """What a peer sent beside a certificate, and what we hold that may stand above it."""
    helping = [c for c in revocations.issuers(leaf) if c not in intermediates]
    return (*intermediates[:MAX_INTERMEDIATES], *helping)[:MAX_INTERMEDIATES]


def judged_chains(
    chains: Iterable[BoundChain], revocations: Revocations, *, now: datetime
) -> tuple[BoundChain, ...]:
    """The chains with their revocation judged; one path is judged once."""
    decisions: dict[Path, RevocationDecision] = {}
    judged: list[BoundChain] = []
    for chain in chains:
        path = chain.certificates
        if path:
            decision = decisions.get(path) or revocations.judge(path, now=now)
            decisions[path] = decision
            chain = replace(chain, revocation=decision)  # noqa: PLW2901
        judged.append(chain)
    return tuple(judged)
