"""A UDAP token's envelope: what is read of it before its signer is known, and its proof.

The only form is the compact serialization of a JWS (facts: fhir-and-udap 1.1). ``read_jwt`` looks
at sizes, the header and the certificates in ``x5c``; nothing that the token claims is read.
``proved`` checks the signature by the leaf's key and only then hands the claims on. In between
stands the caller's judgement of the certificates (``trust.udap.signers``).

The algorithm is ours to choose: it must be one of four, and be the one of the leaf's key. ``none``,
HMAC with a public key as secret, and an RSA header over an EC key all end here.

``joserfc`` checks the signatures. Ours are made by a ``Signer``, which may be a token of hardware.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact

from trust.certificates import decode, parse_der
from trust.errors import TrustError
from trust.keys import PublicKey, public_key_of
from trust.signer import Signer
from trust.udap.strict_json import JsonObject, read_object
from trust.undecodable import UNDECODABLE

MAX_JWT_BYTES = 64 * 1024
MAX_CERTIFICATES = 6
"""Certificates in ``x5c``, the leaf among them."""

ALGORITHMS = ("RS256", "ES256", "RS384", "ES384")
"""What we accept; RS256 first, which every implementation must have."""

_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1"}


class _Registry(JWSRegistry):
    """Sizes were limited before; x5c chains are longer than the library's own limit."""

    max_header_length = MAX_JWT_BYTES
    max_payload_length = MAX_JWT_BYTES
    max_signature_length = MAX_JWT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedJwt:
    """A token whose signer was read and whose claims were not.

    Attributes:
        token: its bytes.
        algorithm: one of ``ALGORITHMS``, that fits the leaf's key.
        leaf: the signer's certificate.
        intermediates: the rest of ``x5c``, in its order.
    """

    token: bytes = field(repr=False)
    algorithm: str
    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...] = ()


def read_jwt(token: bytes) -> SealedJwt:
    """Reads a token's header and certificates.

    Raises:
        TrustError: ``jwt-too-large``, ``jwt-malformed``, ``jwt-name-twice``, ``jwt-type``,
            ``jwt-critical``, ``jwt-algorithm``, ``jwt-certificates``, ``jwt-key-unfit``.
    """
    header = read_header(token)
    algorithm = accepted_algorithm(header, ALGORITHMS)
    certificates = _certificates(header.get("x5c"))
    leaf, *intermediates = certificates
    check_key_fits(_key_of(leaf), algorithm)
    return SealedJwt(
        token=token, algorithm=algorithm, leaf=leaf, intermediates=tuple(intermediates)
    )


def read_header(token: bytes) -> JsonObject:
    """The header of a compact JWS, its form checked.

    Raises:
        TrustError: ``jwt-too-large``, ``jwt-malformed``, ``jwt-name-twice``, ``jwt-type``,
            ``jwt-critical``.
    """
    if len(token) > MAX_JWT_BYTES:
        raise TrustError("jwt-too-large", f"A token is larger than {MAX_JWT_BYTES} bytes.")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise TrustError("jwt-malformed", "A token is not a signed JWT in compact form.")
    first, *_ = [_decoded(part) for part in parts.groups()]
    header = read_object(first)
    kind = header.get("typ", "JWT")
    if not (isinstance(kind, str) and kind.upper() == "JWT"):
        raise TrustError("jwt-type", "A token's typ is not JWT.")
    if "crit" in header:
        # RFC 7515 4.1.11: what must be understood and is not, refuses the token
        raise TrustError("jwt-critical", "A token names header fields that must be understood.")
    return header


def unproved_claim(token: bytes, name: str, *, limit: int = 256) -> str:
    """A claim of a token that nobody proved, to look its key up by and for nothing else.

    Raises:
        TrustError: as ``read_header``; ``jwt-claim-missing`` when it is no text of that length.
    """
    value = unproved_claims(token).get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise TrustError("jwt-claim-missing", f"The token lacks {name}.", where=name)
    return value


def unproved_claims(token: bytes) -> JsonObject:
    """The claims of a token that nobody proved: believe none of them. Raises as ``read_header``."""
    parts = _COMPACT.fullmatch(token)
    if len(token) > MAX_JWT_BYTES or parts is None:
        raise TrustError("jwt-malformed", "A token is not a signed JWT in compact form.")
    return read_object(_decoded(parts[2]))


def accepted_algorithm(header: JsonObject, accepted: Collection[str]) -> str:
    """The header's algorithm, where it is an accepted one. Raises ``jwt-algorithm``."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in accepted:
        raise TrustError("jwt-algorithm", "A token's algorithm is not one that we accept.")
    return algorithm


def check_key_fits(key: PublicKey, algorithm: str) -> None:
    """Whether a key may have made signatures of an algorithm. Raises ``jwt-key-unfit``."""
    if isinstance(key, rsa.RSAPublicKey):
        fits = algorithm.startswith("RS")
    else:
        fits = _CURVES.get(algorithm) == key.curve.name
    if not fits:
        raise TrustError("jwt-key-unfit", "A token's algorithm is not that of its signer's key.")


def proved(sealed: SealedJwt) -> JsonObject:
    """The claims of a token, after its signature was checked by the leaf's key.

    Raises:
        TrustError: ``jwt-signature``, ``jwt-malformed``, ``jwt-name-twice``.
    """
    return proved_by(sealed.token, _key_of(sealed.leaf), sealed.algorithm)


def proved_by(token: bytes, key: PublicKey, algorithm: str) -> JsonObject:
    """The claims of a token, after its signature was checked by a key.

    Raises:
        TrustError: ``jwt-signature``, ``jwt-malformed``, ``jwt-name-twice``.
    """
    registry = _Registry(algorithms=[algorithm], strict_check_header=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            known = RSAKey.import_key(key) if isinstance(key, rsa.RSAPublicKey) else ec_key(key)
            checked = deserialize_compact(token, known, algorithms=[algorithm], registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        raise TrustError("jwt-signature", "A token's signature is wrong.") from error
    return read_object(checked.payload or b"")


def ec_key(key: ec.EllipticCurvePublicKey) -> ECKey:
    """A key in the library's form."""
    return ECKey.import_key(key)


def sign_jwt(
    claims: Mapping[str, Any],
    signer: Signer,
    chain: Collection[x509.Certificate] = (),
    *,
    key_id: str | None = None,
) -> str:
    """A token of ours, with the signer's certificate and its chain in ``x5c``, or with its ``kid``.

    Raises:
        TrustError: ``jwt-key-unfit`` when the signer's key makes no signature of the four.
    """
    key = signer.public_key
    algorithm = "RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256"
    check_key_fits(key, algorithm)
    header: dict[str, Any] = {"alg": algorithm, "typ": "JWT"}
    if key_id is not None:
        header["kid"] = key_id
    else:
        header["x5c"] = [
            base64.b64encode(each.public_bytes(Encoding.DER)).decode("ascii")
            for each in (signer.certificate, *chain)
        ]
    signed = b".".join(encoded(_json(part)) for part in (header, claims))
    return b".".join((signed, encoded(signer.sign(signed)))).decode("ascii")


def encoded(data: bytes) -> bytes:
    """Base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _decoded(part: bytes) -> bytes:
    """Base64url that has exactly one spelling: what Python overlooks is refused."""
    try:
        data = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except (ValueError, binascii.Error) as error:
        raise TrustError("jwt-malformed", "A token is not in base64url.") from error
    if encoded(data) != part:
        raise TrustError("jwt-malformed", "A token is not in canonical base64url.")
    return data


def _certificates(value: object) -> tuple[x509.Certificate, ...]:
    if not isinstance(value, list) or not value:
        raise TrustError("jwt-certificates", "A token's header has no certificates (x5c).")
    if len(value) > MAX_CERTIFICATES:
        raise TrustError(
            "jwt-certificates", f"A token's header has over {MAX_CERTIFICATES} certificates."
        )
    try:
        found = tuple(parse_der(_certificate_bytes(each)) for each in value)
        for certificate in found:
            decode(certificate)
    except (TrustError, *UNDECODABLE) as error:
        raise TrustError("jwt-certificates", "A token's x5c cannot be read.") from error
    return found


def _certificate_bytes(value: object) -> bytes:
    # standard base64, not base64url (RFC 7515 4.1.6)
    if not isinstance(value, str):
        raise TrustError("jwt-certificates", "A certificate is not text.")
    try:
        return base64.b64decode(value.encode("ascii"), validate=True)
    except ValueError as error:
        raise TrustError("jwt-certificates", "A certificate is not in base64.") from error


def _key_of(certificate: x509.Certificate) -> PublicKey:
    try:
        return public_key_of(certificate)
    except (TrustError, *UNDECODABLE) as error:
        raise TrustError(
            "jwt-key-unfit", "A signer's key is neither RSA nor of a curve that we know."
        ) from error
