"""The floor under every key and signature that we rely on (facts pki A9, QTF-201).

RSA of 2048 bits and more with an exponent of 65537 or more, the curves P-256, P-384 and P-521, and
SHA-2 with 256 bits and more. Ed25519 is below no floor, yet refused: no profile of the network
knows it, TLS peers do not offer it, and OpenSSL and ``cryptography`` disagree about CAs that have
it (facts pki A7).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from trust.der import OBJECT_IDENTIFIER, SEQUENCE, VERSION_TAG, elements, only
from trust.errors import TrustError
from trust.keys import public_key_of
from trust.undecodable import UNDECODABLE

HASHES = frozenset({"sha256", "sha384", "sha512"})
"""Names of the digests that a signature may use."""

_MIN_RSA_BITS = 2048
_MIN_RSA_EXPONENT = 65537
_STRONG_RSA_BITS = 3072
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})


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


def check_key(certificate: x509.Certificate) -> Finding | None:
    """What is wrong with a certificate's key, or ``None``."""
    try:
        key = public_key_of(certificate)
    except TrustError:
        return Finding(
            code="certificate-key-refused", sentence="A certificate's key is not RSA or ECDSA."
        )
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        if key.key_size < _MIN_RSA_BITS or numbers.e < _MIN_RSA_EXPONENT:
            return Finding(
                code="certificate-key-weak",
                sentence="A certificate's RSA key has under 2048 bits or a small exponent.",
            )
        if is_guessable(numbers.n):
            return Finding(
                code="certificate-key-weak",
                sentence="A certificate's RSA key was made by a chip whose keys can be guessed.",
            )
    elif key.curve.name not in _CURVES or not _names_its_curve(certificate):
        return Finding(
            code="certificate-key-refused",
            sentence="A certificate's curve is not P-256, P-384 or P-521 by name.",
        )
    return None


def is_guessable(modulus: int) -> bool:
    """Whether an RSA modulus has the form that Infineon's library gave it (CVE-2017-15361, ROCA).

    Such a modulus is a power of 65537 for every small prime; another one is so for all of these 38
    by a chance of about one in a thousand million.
    """
    return all(modulus % prime in powers for prime, powers in _powers())


@lru_cache(maxsize=1)
def _powers() -> tuple[tuple[int, frozenset[int]], ...]:
    primes = [n for n in range(3, 168, 2) if all(n % d for d in range(3, n, 2))]
    return tuple(
        (prime, frozenset(pow(65537, power, prime) for power in range(prime))) for prime in primes
    )


def _names_its_curve(certificate: x509.Certificate) -> bool:
    """Whether an EC key's curve stands as a name; spelt out, it may hide another generator.

    ``cryptography`` reads spelt-out parameters as the curve that they resemble (RFC 5480 2.1.1
    forbids them; CVE-2020-0601).
    """
    try:
        parts = list(elements(only(certificate.tbs_certificate_bytes, SEQUENCE)))
        place = 6 if parts[0][0] == VERSION_TAG else 5  # subjectPublicKeyInfo, RFC 5280 4.1
        algorithm = next(elements(parts[place][1]))
        parameters = [tag for tag, _, _ in elements(algorithm[1])]
    except (ValueError, IndexError, StopIteration):
        return False
    return parameters == [OBJECT_IDENTIFIER, OBJECT_IDENTIFIER]


def check_signature_hash(certificate: x509.Certificate) -> Finding | None:
    """What is wrong with the digest in a certificate's signature, or ``None``."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UNDECODABLE:
        algorithm = None
    if algorithm is None or algorithm.name not in HASHES:
        return Finding(
            code="certificate-hash-refused",
            sentence="A certificate is signed with something other than SHA-256, 384 or 512.",
        )
    return None


def weakness(certificate: x509.Certificate) -> Finding | None:
    """A key below 128-bit strength, or ``None``.

    Raises:
        TrustError: ``key-kind-refused`` for a key that ``check_key`` refuses anyway.
    """
    key = public_key_of(certificate)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _STRONG_RSA_BITS:
        return Finding(
            code="certificate-below-128-bit",
            sentence=f"A key of the chain is RSA with {key.key_size} bits, below 128-bit strength.",
        )
    return None
