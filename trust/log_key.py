"""The key that signs the log's checkpoints: Ed25519, without a certificate (facts pki A1).

Whoever checks the log knows the key itself, so there is nothing to have issued; several keys may
sign one checkpoint, which is how one takes over from another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from trust.key_floor import Finding
from trust.keys import spki_sha256

_SAMPLE = b"tefca-node rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKeySigner:
    """Signs checkpoints with a key held in memory."""

    key: ed25519.Ed25519PrivateKey = field(repr=False)

    @property
    def public_key(self) -> ed25519.Ed25519PublicKey:
        """The public half, by which everybody checks."""
        return self.key.public_key()

    @property
    def key_id(self) -> str:
        """SPKI SHA-256 of the key, hex: its name in the history."""
        return spki_sha256(self.key)

    def sign(self, data: bytes) -> bytes:
        """An Ed25519 signature, 64 bytes (RFC 8032)."""
        return self.key.sign(data)


def generate_log_key() -> ed25519.Ed25519PrivateKey:
    """Makes a new key."""
    return ed25519.Ed25519PrivateKey.generate()


def rehearse_log_key(signer: LogKeySigner) -> Finding | None:
    """Signs a sample and verifies it; why it failed, or ``None``."""
    try:
        signer.public_key.verify(signer.sign(_SAMPLE), _SAMPLE)
    except InvalidSignature:
        return Finding(
            code="key-mismatch", sentence="The public key does not verify what the key signed."
        )
    return None


def spki_of(public: bytes) -> str:
    """SPKI SHA-256 (hex) of the 32 bytes of a public key."""
    return spki_sha256(ed25519.Ed25519PublicKey.from_public_bytes(public))
