"""Ed25519 keys that sign the roles of a network list, and their files.

A private key file follows the rules of ``trust.keys``: PKCS#8, encrypted when a passphrase is
given, mode 0600, ours (facts pki A3). The public key beside it (``.pub``) is what a holder hands to
the network.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from trust.errors import TrustError
from trust.files import write_file
from trust.keys import check_cost, is_encrypted, read_key_file
from trust.pkcs8 import encrypted_pem
from trust.undecodable import UNDECODABLE

_MAX_PUBLIC_BYTES = 10_000


def generate_signing_key() -> CryptoSigner:
    """A new Ed25519 key."""
    return CryptoSigner(Ed25519PrivateKey.generate())


def save_signing_key(path: Path, signer: CryptoSigner, *, passphrase: bytes | None) -> None:
    """Writes a private key (0600) and its public half beside it with the suffix ``.pub``.

    Raises:
        TrustError: ``file-exists``, ``file-not-written``, ``key-passphrase-empty``.
    """
    key = load_pem_private_key(signer.private_bytes, None)
    if not isinstance(key, Ed25519PrivateKey):  # pragma: no cover  # only ours are saved
        raise TrustError("network-key-refused", "A key of a network list must be Ed25519.")
    if passphrase is None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    elif passphrase:
        pem = encrypted_pem(key, passphrase)
    else:
        raise TrustError("key-passphrase-empty", "The passphrase for a key file is empty.")
    write_file(path, pem, mode=0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_file(public_path(path), public)


def public_path(path: Path) -> Path:
    """Where the public half of a key file is."""
    return path.with_name(path.name + ".pub")


def load_signing_key(path: Path, *, passphrase: bytes | None) -> CryptoSigner:
    """Reads a private key.

    Raises:
        TrustError: as ``trust.keys.load_key``, and ``network-key-refused``.
    """
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
        key = load_pem_private_key(pem, passphrase if encrypted else None)
    except UNDECODABLE as error:
        code, sentence = (
            ("key-passphrase-wrong", "The passphrase does not open a private key file.")
            if encrypted
            else ("key-file-invalid", "A private key file holds no key that can be read.")
        )
        raise TrustError(code, sentence, where=str(path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise TrustError(
            "network-key-refused", "A key of a network list must be Ed25519.", where=str(path)
        )
    return CryptoSigner(key)


def load_public_key(path: Path) -> SSlibKey:
    """Reads the public key that a holder handed over.

    Raises:
        TrustError: ``network-key-refused``.
    """
    try:
        with path.open("rb") as file:
            pem = file.read(_MAX_PUBLIC_BYTES)
        key = load_pem_public_key(pem)
    except (OSError, *UNDECODABLE) as error:
        raise TrustError(
            "network-key-refused", "A public key file cannot be read.", where=str(path)
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise TrustError(
            "network-key-refused", "A key of a network list must be Ed25519.", where=str(path)
        )
    return SSlibKey.from_crypto(key)
