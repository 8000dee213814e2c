"""Whether a certificate chains to an anchor we authorised, for one use (facts pki A7, A9).

``cryptography`` builds and verifies the path; around it stand the checks that it leaves out:
no RSA key below 2048 bits or with a small exponent, no curve but P-256, P-384 and P-521, no DSA,
no SHA-1 or MD5 signature, an extended key usage that is present and fits, anyExtendedKeyUsage never
enough, no CA certificate as a leaf, name and policy constraints only when critical. The system's
trust store is never looked at.

Pure: certificates and ``now`` in, a verdict out. Revocation is a question of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from trust.certificates import (
    decode,
    extended_key_usage,
    fingerprint,
    is_ca,
    is_self_signed,
    issued,
)
from trust.errors import TrustError
from trust.keys import public_key_of, spki_sha256
from trust.usages import Usage, any_purpose, usage_rule

MAX_INTERMEDIATES = 16
MAX_DEPTH = 6

_MIN_RSA_BITS = 2048
_MIN_RSA_EXPONENT = 65537
_STRONG_RSA_BITS = 3072
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_HASHES = frozenset({"sha256", "sha384", "sha512"})


class Strength(StrEnum):
    """What to do with keys below 128-bit strength (QTF-201): RSA below 3072 bits.

    RSA below 2048 bits is refused whatever this says.
    """

    WARN = "warn"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or doubtful: a code and a sentence that anybody may see."""

    code: str
    sentence: str


_LEAF_EARLY = Finding(
    code="certificate-not-yet-valid", sentence="The certificate is not valid yet."
)
_LEAF_EXPIRED = Finding(code="certificate-expired", sentence="The certificate has expired.")
_ISSUER_EARLY = Finding(
    code="intermediate-not-yet-valid", sentence="An intermediate certificate is not valid yet."
)
_ISSUER_EXPIRED = Finding(
    code="intermediate-expired", sentence="An intermediate certificate has expired."
)
_ANCHOR_EARLY = Finding(
    code="anchor-not-yet-valid", sentence="The anchor of the chain is not valid yet."
)
_ANCHOR_EXPIRED = Finding(code="anchor-expired", sentence="The anchor of the chain has expired.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerdict:
    """Whether and how a certificate chains to an anchor.

    Attributes:
        ok: the answer.
        path: SPKI SHA-256 of each certificate, leaf first, anchor last; empty when refused.
        anchor: SHA-256 fingerprint of the anchor, or ``None`` when refused.
        reason_code: ``None``, or why it is refused (a row of ``data/errors.toml``).
        sentence: what a person reads.
        warnings: tolerated weaknesses.
        valid_until: the first moment at which time alone ends the verdict; ``None`` when refused.
        detail: the library's own words, for our log only.
    """

    ok: bool
    path: tuple[str, ...] = ()
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
) -> ChainVerdict:
    """Verifies a leaf against anchors for one use; takes a few hundred microseconds.

    Args:
        leaf: the end-entity certificate.
        intermediates: what the peer sent beside it, in any order, at most 16.
        anchors: the CA certificates authorised for this network and use.
        usage: the role the leaf is presented in.
        now: the moment to judge at; no tolerance is given on validity (facts pki A10).
        floor: what to do with keys below 128-bit strength.
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
    usable = [c for c in given if _check_issuer(c, now=now) is None]
    roots = tuple(anchors)
    valid_roots = [c for c in roots if check_anchor(c, now=now) is None]
    if not valid_roots:
        return _refused(_diagnose(leaf, given, roots, now=now))
    try:
        path = _verifier(valid_roots, now).verify(leaf, usable).chain
    except VerificationError as error:
        return _refused(_diagnose(leaf, given, roots, now=now), detail=str(error))
    finding = _check_path(path, floor=floor)
    if finding is not None:
        return _refused(finding)
    return ChainVerdict(
        ok=True,
        path=tuple(spki_sha256(certificate) for certificate in path),
        anchor=fingerprint(path[-1]),
        sentence="The certificate chains to an authorised anchor.",
        warnings=tuple(w for w in map(_weakness, path) if w is not None),
        valid_until=min(certificate.not_valid_after_utc for certificate in path),
    )


def check_leaf(
    leaf: x509.Certificate, *, usage: Usage, now: datetime, floor: Strength = Strength.WARN
) -> Finding | None:
    """Everything that can be said of a leaf without its issuer; ``None`` when nothing is wrong."""
    try:
        return (
            _check_key(leaf)
            or _check_form(leaf)
            or _check_time(leaf, now=now, early=_LEAF_EARLY, late=_LEAF_EXPIRED)
            or _check_signature_hash(leaf)
            or _check_role(leaf)
            or _check_purpose(leaf, usage)
            or (_weakness(leaf) if floor is Strength.DENY else None)
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return Finding(code="certificate-malformed", sentence="A certificate cannot be decoded.")


def _check_key(certificate: x509.Certificate) -> Finding | None:
    try:
        key = public_key_of(certificate)
    except TrustError:
        return Finding(
            code="certificate-key-refused", sentence="A certificate's key is not RSA or ECDSA."
        )
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _MIN_RSA_BITS or key.public_numbers().e < _MIN_RSA_EXPONENT:
            return Finding(
                code="certificate-key-weak",
                sentence="A certificate's RSA key has under 2048 bits or a small exponent.",
            )
    elif key.curve.name not in _CURVES:
        return Finding(
            code="certificate-key-refused",
            sentence="A certificate's curve is not P-256, P-384 or P-521.",
        )
    return None


def _check_form(certificate: x509.Certificate) -> Finding | None:
    if certificate.version is not x509.Version.v3 or certificate.serial_number <= 0:
        return Finding(
            code="certificate-malformed",
            sentence="A certificate is not version 3, or its serial number is not positive.",
        )
    decode(certificate)
    return None


def _check_time(
    certificate: x509.Certificate, *, now: datetime, early: Finding, late: Finding
) -> Finding | None:
    if now < certificate.not_valid_before_utc:
        return early
    if now > certificate.not_valid_after_utc:
        return late
    return None


def _check_signature_hash(certificate: x509.Certificate) -> Finding | None:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if algorithm is None or algorithm.name not in _HASHES:
        return Finding(
            code="certificate-hash-refused",
            sentence="A certificate is signed with something other than SHA-256, 384 or 512.",
        )
    return None


def _check_role(leaf: x509.Certificate) -> Finding | None:
    if is_ca(leaf):
        return Finding(
            code="certificate-is-ca", sentence="A CA's certificate is presented as a leaf."
        )
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    if not usage.digital_signature:
        return Finding(
            code="certificate-usage-wrong",
            sentence="The certificate's key may not be used for digital signatures.",
        )
    return None


def _check_purpose(leaf: x509.Certificate, usage: Usage) -> Finding | None:
    purposes = extended_key_usage(leaf)
    rule = usage_rule(usage)
    if not purposes:
        if not rule.required:
            return None
        return Finding(
            code="certificate-purpose-missing",
            sentence=f"The certificate has no extended key usage, and {usage} needs one.",
        )
    # anyExtendedKeyUsage would make one certificate good for every role: never accepted.
    if any_purpose() in purposes or rule.accepts.isdisjoint(purposes):
        return Finding(
            code="certificate-purpose-wrong",
            sentence=f"The certificate's extended key usage does not allow {usage}.",
        )
    return None


def _check_issuer(certificate: x509.Certificate, *, now: datetime) -> Finding | None:
    try:
        return (
            _check_key(certificate)
            or _check_form(certificate)
            or _check_time(certificate, now=now, early=_ISSUER_EARLY, late=_ISSUER_EXPIRED)
            or _check_signature_hash(certificate)
            or _check_signs(certificate)
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return Finding(code="certificate-malformed", sentence="A certificate cannot be decoded.")


def check_anchor(certificate: x509.Certificate, *, now: datetime) -> Finding | None:
    """Everything that can be said of an anchor by itself; ``None`` when nothing is wrong."""
    # An anchor is trusted for its key: the hash in its own signature proves nothing (BCP 195).
    try:
        return (
            _check_key(certificate)
            or _check_time(certificate, now=now, early=_ANCHOR_EARLY, late=_ANCHOR_EXPIRED)
            or _check_signs(certificate)
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return Finding(code="certificate-malformed", sentence="An anchor cannot be decoded.")


def _check_signs(certificate: x509.Certificate) -> Finding | None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        signs = usage.key_cert_sign
    except x509.ExtensionNotFound:
        signs = True
    if not (is_ca(certificate) and signs):
        return Finding(
            code="issuer-not-ca",
            sentence="The certificate was issued by one that is not allowed to issue any.",
        )
    return None


def _check_path(path: Sequence[x509.Certificate], *, floor: Strength) -> Finding | None:
    for certificate in path:
        for extension in certificate.extensions:
            constrains = isinstance(extension.value, x509.NameConstraints | x509.PolicyConstraints)
            if constrains and not extension.critical:
                return Finding(
                    code="chain-constraint-not-critical",
                    sentence="A CA of the chain carries a constraint that is not critical.",
                )
        if floor is Strength.DENY and (weakness := _weakness(certificate)) is not None:
            return weakness
    return None


def _weakness(certificate: x509.Certificate) -> Finding | None:
    key = public_key_of(certificate)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _STRONG_RSA_BITS:
        return Finding(
            code="certificate-below-128-bit",
            sentence=f"A key of the chain is RSA with {key.key_size} bits, below 128-bit strength.",
        )
    return None


def _verifier(anchors: list[x509.Certificate], now: datetime) -> x509.verification.ClientVerifier:
    # Purposes are checked above, by our own table: the library knows only its two web roles, and
    # takes a leaf without any purpose. Names are checked where partners are bound, not here.
    leaf_policy = (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)
        .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    )
    issuer_policy = ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None
    )
    return (
        PolicyBuilder()
        .store(Store(anchors))
        .time(now)
        .max_chain_depth(MAX_DEPTH)
        .extension_policies(ca_policy=issuer_policy, ee_policy=leaf_policy)
        .build_client_verifier()
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
        issuer = next((c for c in anchors if issued(c, current)), None)
        if issuer is not None:
            return check_anchor(issuer, now=now) or Finding(
                code="chain-refused",
                sentence="The certificate's chain breaks a rule of path validation.",
            )
        issuer = next((c for c in rest if issued(c, current)), None)
        if issuer is None:
            break
        finding = _check_issuer(issuer, now=now)
        if finding is not None:
            return finding
        rest.remove(issuer)
        current = issuer
    if is_self_signed(current):
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
