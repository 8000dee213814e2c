"""The key by which two nodes come to a secret of their own: X25519, without a certificate.

Peers know its public half from our directory entry, as they know that of the log's key.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from trust.key_floor import Finding


def generate_agreement_key() -> X25519PrivateKey:
    """Makes a new key."""
    return X25519PrivateKey.generate()


def rehearse_agreement_key(key: X25519PrivateKey) -> Finding | None:
    """Agrees with a key made for it, from both sides; why that failed, or ``None``."""
    other = X25519PrivateKey.generate()
    if key.exchange(other.public_key()) != other.exchange(key.public_key()):
        return Finding(
            code="key-mismatch", sentence="The two sides of a key agreement do not agree."
        )
    return None
