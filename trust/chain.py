"""Whether a certificate chains to an anchor we authorised, for one use (facts pki A7, A9).

Two validators must accept the same path: ``trust.path`` (RFC 5280 6.1) and OpenSSL
(``trust.second_opinion``). Around them stand the network's own floors, which neither has: no RSA
key below 2048 bits or with a small exponent, no curve but P-256, P-384 and P-521, no DSA or
Ed25519, no SHA-1 or MD5 signature, an extended key usage that is present and fits,
anyExtendedKeyUsage never enough, no CA certificate as a leaf, no CA without key identifiers,
constraints only when critical, no serial number beyond 20 bytes. A path that fails does not stand
in the way of another one. The system's trust store is never looked at.

Pure: certificates and ``now`` in, a verdict out. Revocation is a question of its own
(``trust.revocation``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from trust.certificate_rules import check_anchor, check_issuer, check_leaf, check_path
from trust.certificates import fingerprint
from trust.key_floor import Finding, Strength, weakness
from trust.keys import spki_sha256
from trust.path import (
    MAX_DEPTH,
    Path,
    candidate_paths,
    is_self_issued,
    path_refusal,
    signed_by,
)
from trust.policy_graph import PolicyInputs
from trust.second_opinion import openssl_refusal
from trust.undecodable import UNDECODABLE
from trust.usages import Usage

__all__ = [
    "MAX_INTERMEDIATES",
    "ChainVerdict",
    "Finding",
    "Strength",
    "check_anchor",
    "check_leaf",
    "verify_chain",
]

MAX_INTERMEDIATES = 16


_Refusal = tuple[Finding, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerdict:
    """Whether and how a certificate chains to an anchor.

    Attributes:
        ok: the answer.
        path: SPKI SHA-256 of each certificate, leaf first, anchor last; empty when refused.
        certificates: the same path as certificates, for ``trust.revocation``.
        anchor: SHA-256 fingerprint of the anchor, or ``None`` when refused.
        reason_code: ``None``, or why it is refused (a row of ``data/errors.toml``).
        sentence: what a person reads.
        warnings: tolerated weaknesses.
        valid_until: the first moment at which time alone ends the verdict; ``None`` when refused.
        detail: the library's own words, for our log only.
    """

    ok: bool
    path: tuple[str, ...] = ()
    certificates: Path = field(default=(), repr=False)
    anchor: str | None = None
    reason_code: str | None = None
    sentence: str
    warnings: tuple[Finding, ...] = ()
    valid_until: datetime | None = None
    detail: str | None = None


def verify_chain(
    leaf: x509.Certificate,
    intermediates: Iterable[x509.Certificate],
    anchors: Iterable[x509.Certificate],
    *,
    usage: Usage,
    now: datetime,
    floor: Strength = Strength.WARN,
    strict: Collection[x509.Certificate] = frozenset(),
    policies: PolicyInputs | None = None,
) -> ChainVerdict:
    """Verifies a leaf against anchors for one use; takes about a millisecond.

    Args:
        leaf: the end-entity certificate.
        intermediates: what the peer sent beside it, in any order, at most 16.
        anchors: the CA certificates authorised for this network and use.
        usage: the role the leaf is presented in.
        now: the moment to judge at; no tolerance is given on validity (facts pki A10).
        floor: what to do with keys below 128-bit strength.
        strict: anchors under which such keys are refused whatever ``floor`` says.
        policies: certificate policies that must hold; by default none.
    """
    given = tuple(dict.fromkeys(intermediates))
    if len(given) > MAX_INTERMEDIATES:
        return _refused(
            Finding(
                code="chain-too-long",
                sentence=f"The peer sent over {MAX_INTERMEDIATES} intermediate certificates.",
            )
        )
    finding = check_leaf(leaf, usage=usage, now=now, floor=floor)
    if finding is not None:
        return _refused(finding)
    # An intermediate that is unusable by itself must not stand in the way of one that is usable.
    usable = [c for c in given if check_issuer(c, now=now) is None]
    roots = tuple(anchors)
    valid_roots = [c for c in roots if check_anchor(c, now=now) is None]
    if not valid_roots:
        return _refused(_diagnose(leaf, given, roots, now=now))
    first: _Refusal | None = None
    for path in candidate_paths(leaf, usable, valid_roots):
        demanded = Strength.DENY if path[-1] in strict else floor
        refusal = _judge_path(path, usage=usage, now=now, floor=demanded, policies=policies)
        if refusal is None:
            return _accepted(path)
        first = first or refusal
    finding, detail = first or (_diagnose(leaf, given, roots, now=now), None)
    return _refused(finding, detail=detail)


def _judge_path(
    path: Path,
    *,
    usage: Usage,
    now: datetime,
    floor: Strength,
    policies: PolicyInputs | None,
) -> _Refusal | None:
    """Both validators and our own floors; the finding, and more for our log."""
    try:
        broken = path_refusal(path, now=now, policies=policies)
        if broken is not None:
            return Finding(code="chain-refused", sentence=broken), None
        finding = check_path(path, usage=usage, floor=floor)
        if finding is not None:
            return finding, None
    except UNDECODABLE as error:
        malformed = "A certificate of the chain cannot be decoded."
        return Finding(code="certificate-malformed", sentence=malformed), str(error)
    dispute = openssl_refusal(path, now=now)
    if dispute is not None:
        sentence = "OpenSSL refuses the chain that our own validation accepts."
        return Finding(code="chain-disputed", sentence=sentence), dispute
    return None


def _accepted(path: Path) -> ChainVerdict:
    return ChainVerdict(
        ok=True,
        path=tuple(spki_sha256(certificate) for certificate in path),
        certificates=path,
        anchor=fingerprint(path[-1]),
        sentence="The certificate chains to an authorised anchor.",
        warnings=tuple(w for w in map(weakness, path) if w is not None),
        valid_until=min(certificate.not_valid_after_utc for certificate in path),
    )


def _diagnose(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    *,
    now: datetime,
) -> Finding:
    """Says why no path was found, by walking up from the leaf once more."""
    current = leaf
    rest = list(intermediates)
    for _ in range(MAX_DEPTH + 1):
        issuer = next((c for c in anchors if signed_by(current, c)), None)
        if issuer is not None:
            return check_anchor(issuer, now=now) or Finding(
                code="chain-refused",
                sentence="The certificate's chain breaks a rule of path validation.",
            )
        issuer = next((c for c in rest if signed_by(current, c)), None)
        if issuer is None:
            break
        finding = check_issuer(issuer, now=now)
        if finding is not None:
            return finding
        rest.remove(issuer)
        current = issuer
    if is_self_issued(current):
        return Finding(
            code="anchor-unknown",
            sentence="The certificate's chain ends at a root that is not an authorised anchor.",
        )
    return Finding(
        code="chain-incomplete",
        sentence="No authorised anchor issued this certificate, or an intermediate is missing.",
    )


def _refused(finding: Finding, *, detail: str | None = None) -> ChainVerdict:
    return ChainVerdict(
        ok=False, reason_code=finding.code, sentence=finding.sentence, detail=detail
    )
