"""Encrypted private keys as PKCS#8 with scrypt (RFC 5958 3, RFC 7914 7).

``cryptography`` reads this form, and so does OpenSSL, but it writes PBKDF2 with 2,048 rounds only,
which guards a passphrase poorly; so the envelope is made here (facts pki A3).
"""

from __future__ import annotations

import base64
import re
import secrets
import textwrap
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import Any

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ObjectIdentifier

from trust.der import INTEGER, SEQUENCE, elements, only

_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END")

_SALT_BYTES = 16
_KEY_BYTES = 32
_CONSTRUCTED = 0x20

MAX_ITERATIONS = 10_000_000
"""Rounds of PBKDF2, about three seconds."""
MAX_SCRYPT_COST = 1 << 22
"""N times r times p of scrypt, about a second; N times r times 128 bytes of memory."""


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    n: int
    r: int
    p: int


@asn1.sequence
class _KeyDerivation:
    algorithm: ObjectIdentifier
    parameters: _ScryptParameters


@asn1.sequence
class _Encryption:
    algorithm: ObjectIdentifier
    iv: bytes


@asn1.sequence
class _Pbes2:
    derivation: _KeyDerivation
    encryption: _Encryption


@asn1.sequence
class _Algorithm:
    algorithm: ObjectIdentifier
    parameters: _Pbes2


@asn1.sequence
class _EncryptedPrivateKeyInfo:
    algorithm: _Algorithm
    data: bytes


def encrypted_pem(
    key: rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | x25519.X25519PrivateKey,
    passphrase: bytes,
) -> bytes:
    """A private key as ``ENCRYPTED PRIVATE KEY`` PEM under a passphrase; salt and IV are random."""
    scheme = _scheme()
    oids, cost = scheme["algorithm"], scheme["cost"]
    salt, iv = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_SALT_BYTES)
    derived = Scrypt(salt=salt, length=_KEY_BYTES, **cost).derive(passphrase)
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(algorithms.AES(derived), modes.CBC(iv)).encryptor()
    envelope = _EncryptedPrivateKeyInfo(
        algorithm=_Algorithm(
            algorithm=ObjectIdentifier(oids["pbes2"]),
            parameters=_Pbes2(
                derivation=_KeyDerivation(
                    algorithm=ObjectIdentifier(oids["scrypt"]),
                    parameters=_ScryptParameters(salt=salt, **cost),
                ),
                encryption=_Encryption(algorithm=ObjectIdentifier(oids["aes256_cbc"]), iv=iv),
            ),
        ),
        data=encryptor.update(padded) + encryptor.finalize(),
    )
    body = textwrap.wrap(base64.b64encode(asn1.encode_der(envelope)).decode("ascii"), 64)
    label = "ENCRYPTED PRIVATE KEY"
    return "\n".join([f"-----BEGIN {label}-----", *body, f"-----END {label}-----", ""]).encode()


def is_affordable(pem: bytes) -> bool:
    """Whether opening an encrypted key costs no more than seconds, as the file itself says.

    The numbers that say so come with the file: unbounded, it could keep a start busy for years. A
    key in OpenSSL's old form (``Proc-Type``) names no cost and has none.
    """
    block = _ENCRYPTED.search(pem)
    if block is None:
        return True
    try:
        info = only(base64.b64decode(block.group(1)), SEQUENCE)
        numbers = list(_integers(next(elements(info))[1]))
    except (ValueError, StopIteration, RecursionError):
        return False
    if len(numbers) >= 3:  # noqa: PLR2004 -- scrypt: N, r, p, and perhaps the key's length
        return 0 < numbers[0] * numbers[1] * numbers[2] <= MAX_SCRYPT_COST
    return all(0 < number <= MAX_ITERATIONS for number in numbers)


def _integers(content: bytes) -> Iterator[int]:
    for tag, inner, _ in elements(content):
        if tag == INTEGER:
            yield int.from_bytes(inner, "big", signed=True)
        elif tag & _CONSTRUCTED:
            yield from _integers(inner)


@lru_cache
def _scheme() -> dict[str, dict[str, Any]]:
    text = resources.files("trust").joinpath("data/pkcs8.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
