"""Private keys: made, kept in an encrypted file that only we can read, loaded with checks.

The kinds are those a peer of the network may expect (facts pki A9, QTF-201): RSA-3072 for SAML
signing, P-256 or P-384 where both sides speak ECDSA, RSA-2048 only for partners that demand it. A
key file is PKCS#8, encrypted when a passphrase is given, mode 0600 (facts pki A3).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from trust.errors import TrustError
from trust.files import write_file
from trust.pkcs8 import encrypted_pem, is_affordable
from trust.undecodable import UNDECODABLE

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
AnyPrivateKey = PrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey
AnyPublicKey = PublicKey | ed25519.Ed25519PublicKey | x25519.X25519PublicKey
"""Ed25519 and X25519 are of the log alone; no certificate of the network has such a key."""

MAX_KEY_FILE_BYTES = 64 * 1024

_KEY_BLOCK = b"PRIVATE KEY-----"
_CURVES = {"secp256r1": "p-256", "secp384r1": "p-384", "secp521r1": "p-521"}
_OTHERS_MAY = stat.S_IRWXG | stat.S_IRWXO


class KeyKind(StrEnum):
    """A kind of key that the node makes."""

    RSA_3072 = "rsa-3072"
    RSA_2048 = "rsa-2048"
    P_256 = "p-256"
    P_384 = "p-384"


def generate_key(kind: KeyKind = KeyKind.RSA_3072) -> PrivateKey:
    """Makes a new private key; RSA takes up to a second."""
    match kind:
        case KeyKind.RSA_3072:
            return rsa.generate_private_key(public_exponent=65537, key_size=3072)
        case KeyKind.RSA_2048:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case KeyKind.P_256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyKind.P_384:
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            assert_never(kind)


def save_key(
    path: Path, key: AnyPrivateKey, *, passphrase: bytes | None = None, replace: bool = False
) -> None:
    """Writes a key as PKCS#8 PEM, whole or not at all, readable by its owner only.

    Args:
        path: the file; its folder must exist.
        key: the key to keep.
        passphrase: encrypts the file (PBES2 with scrypt) when given.
        replace: whether an existing file may be overwritten; the old key is then gone.

    Raises:
        TrustError: ``file-exists``, ``file-not-written``, ``key-passphrase-empty``.
    """
    if passphrase is None:
        pem = plain_pem(key)
    elif passphrase:
        pem = encrypted_pem(key, passphrase)
    else:
        raise TrustError("key-passphrase-empty", "The passphrase for a key file is empty.")
    write_file(path, pem, mode=0o600, replace=replace)


def plain_pem(key: AnyPrivateKey) -> bytes:
    """The key as unencrypted PKCS#8, for libraries that take keys from memory; never for a file."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(path: Path, *, passphrase: bytes | None = None) -> PrivateKey:
    """Reads a private key; takes about 35 ms when encrypted, so callers do it once and keep it.

    Raises:
        TrustError: ``key-file-missing``, ``key-file-unreadable``, ``key-file-owner``,
            ``key-file-exposed``, ``key-file-invalid``, ``key-file-costly``,
            ``key-passphrase-missing``, ``key-passphrase-wrong``, ``key-kind-refused``.
    """
    key = _opened(path, passphrase)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TrustError(
            "key-kind-refused", "A private key is neither RSA nor ECDSA.", where=str(path)
        )
    return key


def load_log_key(path: Path, *, passphrase: bytes | None = None) -> ed25519.Ed25519PrivateKey:
    """Reads the private key that signs the log. Raises as ``load_key``."""
    key = _opened(path, passphrase)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise TrustError("key-kind-refused", "The log's key is not Ed25519.", where=str(path))
    return key


def load_agreement_key(path: Path, *, passphrase: bytes | None = None) -> x25519.X25519PrivateKey:
    """Reads the private key for key agreement. Raises as ``load_key``."""
    key = _opened(path, passphrase)
    if not isinstance(key, x25519.X25519PrivateKey):
        raise TrustError(
            "key-kind-refused", "The key for key agreement is not X25519.", where=str(path)
        )
    return key


def _opened(path: Path, passphrase: bytes | None) -> object:
    pem = read_key_file(path)
    encrypted = is_encrypted(pem)
    if encrypted and passphrase is None:
        raise TrustError(
            "key-passphrase-missing",
            "A private key file is encrypted and no passphrase was given.",
            where=str(path),
        )
    check_cost(pem, path)
    try:
        return load_pem_private_key(pem, passphrase if encrypted else None)
    except UNDECODABLE as error:
        code, sentence = (
            ("key-passphrase-wrong", "The passphrase does not open a private key file.")
            if encrypted
            else ("key-file-invalid", "A private key file holds no key that can be read.")
        )
        raise TrustError(code, sentence, detail=str(error), where=str(path)) from error


def read_private_file(path: Path) -> bytes:
    """The bytes, at most ``MAX_KEY_FILE_BYTES`` and one, of a file only we (or root) may read.

    Raises:
        TrustError: ``key-file-missing``, ``key-file-unreadable``, ``key-file-owner``,
            ``key-file-exposed``, ``key-file-invalid``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise TrustError(
            "key-file-missing", "A private key file does not exist.", where=str(path)
        ) from error
    except OSError as error:
        raise TrustError(
            "key-file-unreadable",
            "A private key file cannot be opened.",
            detail=error.strerror,
            where=str(path),
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        # The open file is judged, not its name: nobody can swap it in between.
        status = os.fstat(descriptor)
        _check_status(status, path)
        return file.read(MAX_KEY_FILE_BYTES + 1)


def read_key_file(path: Path) -> bytes:
    """The bytes of a key file that only we (or root) may read and that holds exactly one key.

    Raises:
        TrustError: as ``read_private_file``, and ``key-file-invalid``.
    """
    pem = read_private_file(path)
    if len(pem) > MAX_KEY_FILE_BYTES or pem.count(_KEY_BLOCK) != 2:  # noqa: PLR2004 - BEGIN, END
        raise TrustError(
            "key-file-invalid",
            "A private key file does not hold exactly one private key in PEM form.",
            where=str(path),
        )
    return pem


def check_cost(pem: bytes, path: Path) -> None:
    """Refuses a key file that would keep us busy for years before it opens.

    Raises:
        TrustError: ``key-file-costly``.
    """
    if not is_affordable(pem):
        raise TrustError(
            "key-file-costly",
            "A private key file demands more work to open than any key should.",
            where=str(path),
        )


def public_key_of(certificate: x509.Certificate) -> PublicKey:
    """The public key of a certificate, when it is of a kind that the node accepts.

    Raises:
        TrustError: ``key-kind-refused``.
    """
    try:
        key = certificate.public_key()
    except UNDECODABLE as error:
        raise TrustError(
            "key-kind-refused",
            "The key of a certificate is of an unknown kind.",
            detail=str(error),
        ) from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise TrustError("key-kind-refused", "The key of a certificate is neither RSA nor ECDSA.")
    return key


def key_kind(key: PublicKey) -> str:
    """The kind of a key as people write it: ``rsa-3072``, ``p-256``, or the curve's own name."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    return _CURVES.get(key.curve.name, key.curve.name)


def spki_sha256(subject: x509.Certificate | AnyPublicKey | AnyPrivateKey) -> str:
    """SHA-256 of a SubjectPublicKeyInfo in DER, 64 hex digits: the form of every pin."""
    key = subject if isinstance(subject, AnyPublicKey) else subject.public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def key_matches(key: PrivateKey, certificate: x509.Certificate) -> bool:
    """Whether a certificate was issued for a private key."""
    return hmac.compare_digest(spki_sha256(key), spki_sha256(certificate))


def _check_status(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise TrustError(
            "key-file-invalid", "A private key path is not a regular file.", where=str(path)
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise TrustError(
            "key-file-owner",
            "A private key file belongs to another user.",
            detail=f"owner uid {status.st_uid}",
            where=str(path),
        )
    if status.st_mode & _OTHERS_MAY:
        raise TrustError(
            "key-file-exposed",
            "A private key file is accessible to other users.",
            detail=f"mode {stat.S_IMODE(status.st_mode):04o}",
            where=str(path),
        )


def is_encrypted(pem: bytes) -> bool:
    """Whether a PEM text holds an encrypted private key."""
    return b"BEGIN ENCRYPTED PRIVATE KEY-----" in pem or b"Proc-Type: 4,ENCRYPTED" in pem
