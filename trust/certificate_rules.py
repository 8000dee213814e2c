"""The network's own floors for one certificate in its place: leaf, intermediate or anchor.

Each check is one question with one code (facts pki A7, A9, A11). They hold whatever a path
validator says; ``trust.chain`` asks them around both validators. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from trust.certificates import decode, extended_key_usage, is_ca, san_hosts
from trust.der import GENERALIZED_TIME, SEQUENCE, UTC_TIME, elements, only
from trust.host_names import ascii_host_name
from trust.key_floor import Finding, Strength, check_key, check_signature_hash, weakness
from trust.path import authority_key_id, is_self_issued, subject_key_id
from trust.undecodable import UNDECODABLE
from trust.usages import Signs, Usage, any_purpose, usage_rule

_MAX_SERIAL_BITS = 159  # 20 bytes with the sign bit clear (RFC 5280 4.1.2.2)
_FIRST_GENERALIZED = 2050

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


def check_leaf(
    leaf: x509.Certificate, *, usage: Usage, now: datetime, floor: Strength = Strength.WARN
) -> Finding | None:
    """Everything that can be said of a leaf without its issuer; ``None`` when nothing is wrong."""
    try:
        return (
            check_key(leaf)
            or _check_form(leaf)
            or _check_time(leaf, now=now, early=_LEAF_EARLY, late=_LEAF_EXPIRED)
            or check_signature_hash(leaf)
            or _check_role(leaf, usage)
            or _check_purpose(leaf, usage)
            or _check_common_name(leaf, usage)
            or (weakness(leaf) if floor is Strength.DENY else None)
        )
    except UNDECODABLE:
        return Finding(code="certificate-malformed", sentence="A certificate cannot be decoded.")


def _check_form(certificate: x509.Certificate) -> Finding | None:
    serial = certificate.serial_number
    if (
        certificate.version is not x509.Version.v3
        or serial <= 0
        or serial.bit_length() > _MAX_SERIAL_BITS
    ):
        return Finding(
            code="certificate-malformed",
            sentence="A certificate is not version 3, or its serial number is not 1 to 20 bytes.",
        )
    if not certificate.issuer.rdns:
        return Finding(
            code="certificate-malformed", sentence="A certificate does not name its issuer."
        )
    if not _times_in_their_form(certificate):
        return Finding(
            code="certificate-malformed",
            sentence="A certificate writes a time before 2050 in the form of later ones.",
        )
    decode(certificate)
    return None


def _times_in_their_form(certificate: x509.Certificate) -> bool:
    """Whether times to 2049 are UTCTime and later ones GeneralizedTime (RFC 5280 4.1.2.5)."""
    signed = only(certificate.tbs_certificate_bytes, SEQUENCE)
    parts = [content for _, content, _ in elements(signed)]
    begins, ends = elements(parts[4])  # validity of a version 3 certificate
    return all(
        tag == (UTC_TIME if moment.year < _FIRST_GENERALIZED else GENERALIZED_TIME)
        for (tag, _, _), moment in (
            (begins, certificate.not_valid_before_utc),
            (ends, certificate.not_valid_after_utc),
        )
    )


def _check_time(
    certificate: x509.Certificate, *, now: datetime, early: Finding, late: Finding
) -> Finding | None:
    if now < certificate.not_valid_before_utc:
        return early
    if now > certificate.not_valid_after_utc:
        return late
    return None


def _check_role(leaf: x509.Certificate, usage: Usage) -> Finding | None:
    rule = usage_rule(usage)
    if is_ca(leaf) and not rule.may_be_ca:
        return Finding(
            code="certificate-is-ca", sentence="A CA's certificate is presented as a leaf."
        )
    try:
        allowed = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    if rule.signs is Signs.CRLS and not allowed.crl_sign:
        return Finding(
            code="crl-signer-refused", sentence="The certificate's key may not sign CRLs."
        )
    if rule.signs is Signs.DATA and not allowed.digital_signature:
        return Finding(
            code="certificate-usage-wrong",
            sentence="The certificate's key may not be used for digital signatures.",
        )
    return None


def _check_purpose(leaf: x509.Certificate, usage: Usage) -> Finding | None:
    purposes = extended_key_usage(leaf)
    rule = usage_rule(usage)
    if not rule.accepts:
        return None  # keyUsage alone decides
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


def _check_common_name(leaf: x509.Certificate, usage: Usage) -> Finding | None:
    """A server's common name that looks like a host must be one of its SAN (CA/B BR 7.1.4.3)."""
    if usage is not Usage.TLS_SERVER:
        return None
    hosts = san_hosts(leaf)
    for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        host = ascii_host_name(str(attribute.value))
        if hosts and host is not None and "." in host and host not in hosts:
            return Finding(
                code="certificate-common-name-differs",
                sentence="The certificate's common name is a host that its SAN does not have.",
            )
    return None


def check_issuer(certificate: x509.Certificate, *, now: datetime) -> Finding | None:
    """Everything that can be said of an intermediate by itself; ``None`` when nothing is wrong."""
    try:
        return (
            check_key(certificate)
            or _check_form(certificate)
            or _check_time(certificate, now=now, early=_ISSUER_EARLY, late=_ISSUER_EXPIRED)
            or check_signature_hash(certificate)
            or _check_signs(certificate)
            or _check_key_ids(certificate, anchor=False)
        )
    except UNDECODABLE:
        return Finding(code="certificate-malformed", sentence="A certificate cannot be decoded.")


def check_anchor(certificate: x509.Certificate, *, now: datetime) -> Finding | None:
    """Everything that can be said of an anchor by itself; ``None`` when nothing is wrong."""
    # An anchor is trusted for its key: the hash in its own signature proves nothing (BCP 195).
    try:
        return (
            check_key(certificate)
            or _check_time(certificate, now=now, early=_ANCHOR_EARLY, late=_ANCHOR_EXPIRED)
            or _check_signs(certificate)
            or _check_key_ids(certificate, anchor=is_self_issued(certificate))
        )
    except UNDECODABLE:
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


def _check_key_ids(certificate: x509.Certificate, *, anchor: bool) -> Finding | None:
    """RFC 5280 4.2.1.1 and 4.2.1.2: every CA has both identifiers, a root at least its own."""
    named = anchor or authority_key_id(certificate) is not None
    if named and subject_key_id(certificate) is not None:
        return None
    return Finding(
        code="issuer-without-key-id",
        sentence="A CA's certificate lacks its subject or authority key identifier.",
    )


def check_path(
    path: Sequence[x509.Certificate], *, usage: Usage, floor: Strength
) -> Finding | None:
    """What our own floors have against a path that is valid; ``None`` when nothing."""
    accepts = usage_rule(usage).accepts
    for certificate in path:
        for extension in certificate.extensions:
            constrains = isinstance(extension.value, x509.NameConstraints | x509.PolicyConstraints)
            if constrains and not extension.critical:
                return Finding(
                    code="chain-constraint-not-critical",
                    sentence="A CA of the chain carries a constraint that is not critical.",
                )
        if floor is Strength.DENY and (weak := weakness(certificate)) is not None:
            return weak
    for certificate in path[1:-1]:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        if not basic.critical:
            return Finding(
                code="chain-refused",
                sentence="A CA of the chain has basic constraints that are not critical.",
            )
        # As OpenSSL does in the handshake: the purposes of a CA bound those below it.
        purposes = extended_key_usage(certificate)
        if accepts and purposes and (accepts | {any_purpose()}).isdisjoint(purposes):
            return Finding(
                code="certificate-purpose-wrong",
                sentence=f"A CA of the chain may not issue certificates for {usage}.",
            )
    return None
