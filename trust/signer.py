"""Signing as a seam: callers see bytes in, signature out, whoever holds the key.

A key in a file is the first implementation (``KeySigner``); an HSM or key service fits behind the
same protocol without its callers changing (facts pki A3).

Signature forms are those of XML signatures and JWS alike (RFC 6931 2.3.2, XMLDSig 1.1 6.4.3,
RFC 7518 3.4): RSASSA-PKCS1-v1_5 with SHA-256, or ECDSA with SHA-256 as the fixed-width
concatenation r || s, never the DER sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from trust.errors import TrustError
from trust.keys import PrivateKey, PublicKey, key_matches, spki_sha256


class SignatureAlgorithm(StrEnum):
    """How a signer signs."""

    RSA_SHA256 = "rsa-sha256"
    ECDSA_SHA256 = "ecdsa-sha256"


class Signer(Protocol):
    """Whoever can sign in our name."""

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """The algorithm, which also fixes the form of the signature."""
        ...

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of the signing key."""
        ...

    @property
    def public_key(self) -> PublicKey:
        """The public half of the signing key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Signs data: RSA block of the modulus' size, or r || s of the curve's size each."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySigner:
    """Signs with a private key held in memory.

    Attributes:
        key: the loaded private key.
        certificate: its certificate.
        chain: the intermediates, leaf's issuer first, root left out.

    Raises:
        TrustError: ``key-mismatch`` when the certificate was issued for another key.
    """

    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def __post_init__(self) -> None:
        if not key_matches(self.key, self.certificate):
            raise TrustError(
                "key-mismatch", "A signing certificate was issued for another private key."
            )

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """The algorithm that fits the kind of the key."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return SignatureAlgorithm.RSA_SHA256
        return SignatureAlgorithm.ECDSA_SHA256

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key."""
        return self.key.public_key()

    @property
    def key_id(self) -> str:
        """SPKI SHA-256 of the key, hex: its name in pins and in the ledger."""
        return spki_sha256(self.key)

    def sign(self, data: bytes) -> bytes:
        """Signs data in the form that ``algorithm`` names."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        width = (self.key.key_size + 7) // 8
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")
