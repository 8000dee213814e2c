"""What a file of keys or certificates is, in plain words, and what is wrong or doubtful in it.

For ours and for other parties' alike: certificates and chains, signing requests, private and public
keys, CRLs, in PEM or DER. Nothing is relied on here; the checks are those that ``trust.chain``,
``trust.csr`` and ``trust.keys`` make when it counts. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
    load_pem_private_key,
    load_pem_public_key,
)

from trust.certificate_findings import (
    certificate_facts,
    certificate_findings,
    fact,
    request_facts,
    uses_ruled_out,
)
from trust.certificates import Bundle, arrange, is_ca
from trust.chain import Strength
from trust.crl import parse_crl
from trust.csr import check_csr
from trust.errors import TrustError
from trust.key_floor import Finding
from trust.keys import AnyPrivateKey, AnyPublicKey, is_encrypted, key_kind, spki_sha256
from trust.pkcs8 import is_affordable
from trust.undecodable import UNDECODABLE
from trust.usages import PARTNER_USES, Usage

MAX_FILE_BYTES = 20 * 1024 * 1024 + 4096
"""The largest CRL that is read, in PEM or DER (``trust.crl``)."""
MAX_PARTS = 64

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n.*?-----END \1-----", re.DOTALL)
_HEAD = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_CERTIFICATES = {"CERTIFICATE", "X509 CERTIFICATE"}
_REQUESTS = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"}


class Part(StrEnum):
    """What a part of a file is."""

    LEAF = "leaf"
    ISSUER = "issuer"
    ROOT = "root"
    STRANGER = "stranger"
    CERTIFICATE = "certificate"
    REQUEST = "signing request"
    PRIVATE_KEY = "private key"
    PUBLIC_KEY = "public key"
    CRL = "crl"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the answers depend on besides the file.

    Attributes:
        now: the current time.
        floor: what to do with keys below 128-bit strength.
        anchors: the anchors that are trusted, per use; empty when none are known.
        known_keys: what is known of a key, in words, by SPKI SHA-256.
        compromised: SPKI SHA-256 of keys that were compromised or are denied.
        passphrase: opens an encrypted private key.
    """

    now: datetime
    floor: Strength = Strength.WARN
    anchors: Mapping[Usage, tuple[x509.Certificate, ...]] = field(default_factory=dict)
    known_keys: Mapping[str, str] = field(default_factory=dict)
    compromised: frozenset[str] = frozenset()
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One part of a file: what it is, what it says, and what is to be said about it."""

    part: Part
    facts: Mapping[str, object] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def inspect_bytes(data: bytes, around: Surroundings) -> tuple[Inspected, ...]:
    """Every part of a file, in its order, certificates of a chain first.

    Raises:
        TrustError: ``file-not-recognised`` when nothing in it is known, ``file-too-large``.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TrustError("file-too-large", "The file is larger than 20 MiB.")
    found = tuple(_pem(data, around) if _HEAD.search(data) else _der(data, around))
    if not found:
        raise TrustError(
            "file-not-recognised",
            "The file holds no certificate, signing request, key or CRL, in PEM or DER.",
        )
    return found


def _pem(data: bytes, around: Surroundings) -> Iterator[Inspected]:
    blocks = [(m.group(1).decode("ascii"), m.group(0)) for m in _BLOCK.finditer(data)]
    if len(blocks) > MAX_PARTS:
        raise TrustError("file-too-large", f"The file has over {MAX_PARTS} parts.")
    yield from _chain([block for label, block in blocks if label in _CERTIFICATES], around)
    for label, block in blocks:
        if label in _CERTIFICATES:
            continue
        if label in _REQUESTS:
            yield _read_request(block, around)
        elif label == "X509 CRL":
            yield _read_crl_block(block, around)
        elif label.endswith("PRIVATE KEY"):
            yield _read_private_key(block, around)
        elif label.endswith("PUBLIC KEY"):
            yield _read_public_key(block, around)
        else:
            yield _unknown(f"A part {label!r} is not read by this command.")
    if len(_HEAD.findall(data)) != len(blocks):
        yield _unknown("A part begins and does not end, or ends as something else.")


def _der(data: bytes, around: Surroundings) -> Iterator[Inspected]:
    try:
        certificate = x509.load_der_x509_certificate(data)
    except UNDECODABLE:
        pass
    else:
        yield _certificate(Part.CERTIFICATE, certificate, None, around)
        return
    try:
        request = x509.load_der_x509_csr(data)
    except UNDECODABLE:
        pass
    else:
        yield _request(request, around)
        return
    try:
        x509.load_der_x509_crl(data)
    except UNDECODABLE:
        pass
    else:
        yield _read_crl(data, around)
        return
    try:
        key = load_der_private_key(data, None)
    except UNDECODABLE:
        return
    yield _key(key, around, encrypted=False)


# --- certificates -------------------------------------------------------------------------------


def _chain(blocks: list[bytes], around: Surroundings) -> Iterator[Inspected]:
    read: list[x509.Certificate] = []
    for block in blocks:
        try:
            read.append(x509.load_pem_x509_certificate(block))
        except UNDECODABLE:
            yield _unknown("A part that should be a certificate cannot be read.")
    if not read:
        return
    try:
        bundle = arrange(read)
    except TrustError as error:
        if error.code == "bundle-ambiguous":
            yield from (_certificate(Part.CERTIFICATE, each, None, around) for each in read)
        else:
            yield _unknown(error.sentence)
        return
    for part, each in (
        (Part.LEAF, bundle.leaf),
        *((Part.ISSUER, each) for each in bundle.intermediates),
        *((Part.ROOT, each) for each in bundle.roots),
        *((Part.STRANGER, each) for each in bundle.strangers),
    ):
        yield _certificate(part, each, bundle, around)


def _uses(
    leaf: x509.Certificate, chain: tuple[x509.Certificate, ...], around: Surroundings
) -> dict[str, object]:
    out = uses_ruled_out(leaf, chain, now=around.now, floor=around.floor, anchors=around.anchors)
    return {
        "good_for": [usage.value for usage in PARTNER_USES if usage not in out],
        "not_for": [f"{usage}: {found.sentence} ({found.code})" for usage, found in out.items()],
    }


def _certificate(
    part: Part, certificate: x509.Certificate, bundle: Bundle | None, around: Surroundings
) -> Inspected:
    try:
        facts = certificate_facts(certificate)
        chain = bundle.intermediates if bundle is not None else ()
        if not is_ca(certificate):
            facts |= _uses(certificate, chain, around)
        findings = certificate_findings(
            certificate,
            chain if part in (Part.LEAF, Part.CERTIFICATE) else (),
            now=around.now,
            floor=around.floor,
            anchors=around.anchors,
        )
    except TrustError as error:
        return _unknown(error.sentence, error.code)
    return _with_key(part, facts, findings, around)


# --- requests, keys, CRLs -----------------------------------------------------------------------


def _read_request(block: bytes, around: Surroundings) -> Inspected:
    try:
        return _request(x509.load_pem_x509_csr(block), around)
    except UNDECODABLE:
        return _unknown("A part that should be a signing request cannot be read.", "csr-invalid")


def _request(request: x509.CertificateSigningRequest, around: Surroundings) -> Inspected:
    try:
        check_csr(request)
    except TrustError as error:
        return Inspected(
            part=Part.REQUEST,
            facts={"subject": _subject(request)},
            findings=(Finding(code=error.code, sentence=error.sentence),),
        )
    return _with_key(Part.REQUEST, request_facts(request), (), around)


def _subject(request: x509.CertificateSigningRequest) -> str:
    try:
        return request.subject.rfc4514_string()
    except ValueError:
        return ""


def _read_private_key(block: bytes, around: Surroundings) -> Inspected:
    encrypted = is_encrypted(block)
    if encrypted and around.passphrase is None:
        return Inspected(part=Part.PRIVATE_KEY, facts={"encrypted": True})
    if not is_affordable(block):
        sentence = "The private key demands more work to open than any key should."
        finding = Finding(code="key-file-costly", sentence=sentence)
        return Inspected(part=Part.PRIVATE_KEY, facts={"encrypted": True}, findings=(finding,))
    try:
        key = load_pem_private_key(block, around.passphrase if encrypted else None)
    except UNDECODABLE:
        code, sentence = (
            ("key-passphrase-wrong", "The passphrase does not open the private key.")
            if encrypted
            else ("key-file-invalid", "A part that should be a private key cannot be read.")
        )
        facts = {"encrypted": encrypted}
        finding = Finding(code=code, sentence=sentence)
        return Inspected(part=Part.PRIVATE_KEY, facts=facts, findings=(finding,))
    return _key(key, around, encrypted=encrypted)


def _key(key: object, around: Surroundings, *, encrypted: bool) -> Inspected:
    facts: dict[str, object] = {"encrypted": encrypted}
    findings: list[Finding] = []
    if not encrypted:
        findings.append(
            Finding(code="key-not-encrypted", sentence="The private key is not encrypted.")
        )
    if not isinstance(key, AnyPrivateKey):
        sentence = "The private key is neither RSA, ECDSA nor Ed25519."
        findings.append(Finding(code="key-kind-refused", sentence=sentence))
        return Inspected(part=Part.PRIVATE_KEY, facts=facts, findings=tuple(findings))
    facts |= _key_facts(key.public_key())
    return _with_key(Part.PRIVATE_KEY, facts, tuple(findings), around)


def _read_public_key(block: bytes, around: Surroundings) -> Inspected:
    try:
        key = load_pem_public_key(block)
    except UNDECODABLE:
        return _unknown("A part that should be a public key cannot be read.")
    if not isinstance(key, AnyPublicKey):
        return _unknown("A public key is neither RSA, ECDSA nor Ed25519.", "key-kind-refused")
    return _with_key(Part.PUBLIC_KEY, _key_facts(key), (), around)


def _key_facts(key: AnyPublicKey) -> dict[str, object]:
    kind = key_kind(key) if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else ""
    if isinstance(key, ed25519.Ed25519PublicKey):
        kind = "ed25519"
    elif isinstance(key, x25519.X25519PublicKey):
        kind = "x25519"
    return {"key": kind, "spki_sha256": spki_sha256(key)}


def _read_crl_block(block: bytes, around: Surroundings) -> Inspected:
    try:
        der = x509.load_pem_x509_crl(block).public_bytes(Encoding.DER)
    except UNDECODABLE:
        return _unknown("A part that should be a CRL cannot be read.", "crl-malformed")
    return _read_crl(der, around)


def _read_crl(der: bytes, around: Surroundings) -> Inspected:
    try:
        crl = parse_crl(der)
    except TrustError as error:
        finding = Finding(code=error.code, sentence=error.sentence)
        return Inspected(
            part=Part.CRL, facts={"sha256": hashlib.sha256(der).hexdigest()}, findings=(finding,)
        )
    findings = []
    if around.now > crl.next_update:
        findings.append(
            Finding(code="crl-stale", sentence="A newer CRL should have been out by now.")
        )
    if around.now < crl.this_update:
        findings.append(Finding(code="crl-future", sentence="The CRL is dated in the future."))
    return Inspected(
        part=Part.CRL,
        facts={
            "issuer": crl.source.issuer.rfc4514_string(),
            "number": crl.number,
            "delta": crl.is_delta,
            "this_update": fact(crl.this_update),
            "next_update": fact(crl.next_update),
            "revoked": len(crl.revoked),
            "sha256": crl.digest,
        },
        findings=tuple(findings),
    )


def _with_key(
    part: Part, facts: Mapping[str, object], findings: tuple[Finding, ...], around: Surroundings
) -> Inspected:
    spki = str(facts["spki_sha256"])
    if spki in around.compromised:
        finding = Finding(
            code="key-compromised", sentence="Its key was compromised, or the network denies it."
        )
        findings = (finding, *findings)
    if spki in around.known_keys:
        facts = {**facts, "known_as": around.known_keys[spki]}
    return Inspected(part=part, facts=facts, findings=findings)


def _unknown(sentence: str, code: str = "part-unreadable") -> Inspected:
    return Inspected(part=Part.UNKNOWN, findings=(Finding(code=code, sentence=sentence),))
