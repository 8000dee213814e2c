"""Encrypted private keys as PKCS#8 with scrypt (RFC 5958 3, RFC 7914 7).

``cryptography`` reads this form, and so does OpenSSL, but it writes PBKDF2 with 2,048 rounds only,
which guards a passphrase poorly; so the envelope is made here (facts pki A3).
"""

from __future__ import annotations

import base64
import secrets
import textwrap
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ObjectIdentifier

_SALT_BYTES = 16
_KEY_BYTES = 32


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
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
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


@lru_cache
def _scheme() -> dict[str, dict[str, Any]]:
    text = resources.files("trust").joinpath("data/pkcs8.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
