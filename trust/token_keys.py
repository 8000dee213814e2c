"""Keys in a token behind the interfaces of ``cryptography``, so that signers need not know.

Signing requests, assertions and tokens of UDAP are signed through them as through keys from files.
What would need the private key itself is refused.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from trust.errors import TrustError
from trust.keys import PrivateKey
from trust.token import KeyReference, Token


class _InToken:
    """What both kinds share."""

    def __init__(self, token: Token, reference: KeyReference) -> None:
        self.token = token
        self.reference = reference

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def private_numbers(self) -> NoReturn:
        """It never leaves the token."""
        raise _stays()

    def private_bytes(self, *_arguments: object, **_named: object) -> NoReturn:
        """It never leaves the token."""
        raise _stays()


class TokenRsaKey(_InToken, rsa.RSAPrivateKey):
    """An RSA key in a token."""

    def __init__(self, token: Token, reference: KeyReference, public: rsa.RSAPublicKey) -> None:
        """``public`` is its public half."""
        super().__init__(token, reference)
        self._public = public

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """The public half."""
        return self._public

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256, nothing else. Raises ``TrustError``."""
        if not (isinstance(padding, _PKCS1) and isinstance(algorithm, hashes.SHA256)):
            raise _only("RSASSA-PKCS1-v1_5 with SHA-256")
        return self.token.sign(self.reference.label, bytes(data), with_rsa=True)

    def decrypt(self, ciphertext: Any, padding: Any) -> NoReturn:  # noqa: ARG002
        """Refused: our keys sign."""
        raise _only("signing")


_PKCS1 = padding.PKCS1v15


class TokenEcKey(_InToken, ec.EllipticCurvePrivateKey):
    """An ECDSA key in a token."""

    def __init__(
        self, token: Token, reference: KeyReference, public: ec.EllipticCurvePublicKey
    ) -> None:
        """``public`` is its public half."""
        super().__init__(token, reference)
        self._public = public

    @property
    def curve(self) -> ec.EllipticCurve:
        """Its curve."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """Bits of the curve."""
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        """ECDSA with SHA-256 in DER, nothing else. Raises ``TrustError``."""
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            raise _only("ECDSA with SHA-256")
        pair = self.token.sign(self.reference.label, bytes(data), with_rsa=False)
        half = len(pair) // 2
        return encode_dss_signature(int.from_bytes(pair[:half]), int.from_bytes(pair[half:]))

    def exchange(self, algorithm: Any, peer_public_key: Any) -> NoReturn:  # noqa: ARG002
        """Refused: our keys sign."""
        raise _only("signing")


TokenKey = TokenRsaKey | TokenEcKey


def token_key(token: Token, label: str) -> PrivateKey:
    """A key of a token by its label.

    Raises:
        TrustError: ``token-key-missing`` and the others of ``trust.token``.
    """
    public = token.public_key(label)
    reference = KeyReference(token=token.label, label=label)
    if isinstance(public, rsa.RSAPublicKey):
        return TokenRsaKey(token, reference, public)
    return TokenEcKey(token, reference, public)


def _stays() -> TrustError:
    return TrustError("token-key-stays", "A key in a token cannot be taken out of it.")


def _only(what: str) -> TrustError:
    return TrustError("token-key-use", f"A key in a token is used for {what} alone.")
