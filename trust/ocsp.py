"""What an OCSP response says about one certificate, if it may be believed (RFC 6960, facts pki A6).

The response must be about this certificate and its issuer, signed by that issuer itself or by a
responder that the same CA issued for the purpose, and current. "Unknown" is not good. Pure: bytes
and ``now`` in, an answer out; asking the responder is another part's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp

from trust.certificate_rules import check_leaf
from trust.distinguished_names import same_name
from trust.key_floor import HASHES, check_key
from trust.path import path_refusal
from trust.undecodable import UNDECODABLE
from trust.usages import Usage

MAX_OCSP_BYTES = 64 * 1024
SKEW = timedelta(seconds=60)
MAX_LIFETIME = timedelta(days=1)
"""How long an answer without nextUpdate is taken for current."""

_MAX_SINGLES = 16
_MAX_CERTIFICATES = 8
_ID_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,  # RFC 5019: the hash only names the issuer, it proves nothing
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class OcspStatus(StrEnum):
    """What the answer comes to."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspAnswer:
    """An OCSP response as judged for one certificate.

    Attributes:
        status: what is known by it; ``UNKNOWN`` whenever it may not be believed.
        reason_code: why it is not ``GOOD``, or ``None``.
        sentence: what a person reads.
        this_update, next_update: its window, when it may be believed.
        responder: the delegated responder's certificate, when it was not the CA itself.
    """

    status: OcspStatus
    reason_code: str | None = None
    sentence: str
    this_update: datetime | None = None
    next_update: datetime | None = None
    responder: x509.Certificate | None = None

    def is_current(self, now: datetime, skew: timedelta = SKEW) -> bool:
        """Whether the answer holds at this moment."""
        if self.this_update is None or self.next_update is None:
            return False
        return self.this_update - skew <= now <= self.next_update + skew


def evaluate_ocsp(
    der: bytes,
    *,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    now: datetime,
    nonce: bytes | None = None,
    skew: timedelta = SKEW,
) -> OcspAnswer:
    """Judges an OCSP response.

    Args:
        der: the response.
        certificate: the certificate asked about.
        issuer: the certificate of its issuer, from a validated path.
        now: the moment to judge at.
        nonce: what we sent; a response with another nonce is refused, one without any passes.
        skew: tolerated difference between the responder's clock and ours.
    """
    if len(der) > MAX_OCSP_BYTES:
        return _no("ocsp-malformed", "An OCSP response is larger than 64 KiB.")
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return _no(
                "ocsp-unsuccessful",
                f"The OCSP responder answered: {response.response_status.name.lower()}.",
            )
        return _evaluate(response, certificate, issuer, now=now, nonce=nonce, skew=skew)
    except UNDECODABLE:
        return _no("ocsp-malformed", "An OCSP response cannot be decoded.")


def _evaluate(
    response: ocsp.OCSPResponse,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    *,
    now: datetime,
    nonce: bytes | None,
    skew: timedelta,
) -> OcspAnswer:
    signer = _signer(response, issuer)
    if signer is None or (signer is not issuer and not _delegated(signer, issuer, now=now)):
        return _no("ocsp-responder-refused", "Nobody whom the CA allows signed the OCSP response.")
    refusal = _check_signature(response, signer) or _check_extensions(response, nonce)
    if refusal is not None:
        return refusal
    single = _single(response, certificate, issuer)
    if single is None:
        return _no("ocsp-mismatch", "An OCSP response is about another certificate or issuer.")
    ends = single.next_update_utc or single.this_update_utc + MAX_LIFETIME
    if not single.this_update_utc - skew <= now <= ends + skew:
        return _no("ocsp-not-current", "An OCSP response is not current.")
    match single.certificate_status:
        case ocsp.OCSPCertStatus.GOOD:
            status, code = OcspStatus.GOOD, None
            sentence = "The responder calls the certificate good."
        case ocsp.OCSPCertStatus.REVOKED:
            status, code = OcspStatus.REVOKED, "certificate-revoked"
            sentence = "The responder says that the certificate is revoked."
        case _:
            return _no("revocation-unknown", "The responder does not know the certificate.")
    return OcspAnswer(
        status=status,
        reason_code=code,
        sentence=sentence,
        this_update=single.this_update_utc,
        next_update=ends,
        responder=None if signer is issuer else signer,
    )


def _single(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse | None:
    for count, single in enumerate(response.responses):
        if count == _MAX_SINGLES:
            break
        algorithm = _ID_HASHES.get(single.hash_algorithm.name)
        if algorithm is None or single.serial_number != certificate.serial_number:
            continue
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm()).build()
        if (single.issuer_name_hash, single.issuer_key_hash) == (
            asked.issuer_name_hash,
            asked.issuer_key_hash,
        ):
            return single
    return None


def _signer(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> x509.Certificate | None:
    """The certificate that the response names as its signer: the CA's, or one it sent along."""
    for candidate in (issuer, *response.certificates[:_MAX_CERTIFICATES]):
        if response.responder_name is not None:
            if same_name(candidate.subject, response.responder_name):
                return candidate
        elif response.responder_key_hash == _key_hash(candidate):
            return candidate
    return None


def _key_hash(certificate: x509.Certificate) -> bytes:
    """SHA-1 of the public key's bits, as ResponderID has it (RFC 6960 4.2.1)."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _delegated(signer: x509.Certificate, issuer: x509.Certificate, *, now: datetime) -> bool:
    """Whether the CA itself issued a responder's certificate for answering (RFC 6960 4.2.2.2)."""
    return (
        check_leaf(signer, usage=Usage.OCSP_SIGNER, now=now) is None
        and path_refusal((signer, issuer), now=now) is None
    )


def _check_signature(response: ocsp.OCSPResponse, signer: x509.Certificate) -> OcspAnswer | None:
    algorithm = response.signature_hash_algorithm
    key = signer.public_key()
    if check_key(signer) is not None or algorithm is None or algorithm.name not in HASHES:
        return _no("ocsp-signature-invalid", "An OCSP response's key or digest is too weak.")
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(
                response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm
            )
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
    except InvalidSignature:
        return _no("ocsp-signature-invalid", "An OCSP response's signature is wrong.")
    return None


def _check_extensions(response: ocsp.OCSPResponse, nonce: bytes | None) -> OcspAnswer | None:
    for extension in response.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            if nonce is not None and extension.value.nonce != nonce:
                return _no("ocsp-mismatch", "An OCSP response answers another question.")
        elif extension.critical:
            return _no("ocsp-malformed", "An OCSP response has a critical extension unknown to us.")
    return None


def _no(code: str, sentence: str) -> OcspAnswer:
    return OcspAnswer(status=OcspStatus.UNKNOWN, reason_code=code, sentence=sentence)
