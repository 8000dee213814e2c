"""Who a person is, said to an app: id_tokens of OpenID Connect, and the keys to check them by.

They are signed by the identity that also signs our UDAP metadata, for the same party speaks, of the
same address. Their kid is the thumbprint of its key (RFC 7638).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, RSAKey

from node.gateway.oauth.approvals import Approval
from node.users.model import User
from trust.errors import TrustError
from trust.signer import KeySigner
from trust.udap.jwt import sign_jwt

LIFE: Final = timedelta(minutes=5)


def identity(user: User, scope: str, base_url: str) -> dict[str, Any]:
    """The claims that say who a person is, as far as the scope allows."""
    claims: dict[str, Any] = {"iss": base_url, "sub": user.login}
    if "fhirUser" in scope.split() and user.practitioner is not None:
        claims["fhirUser"] = f"{base_url}/Practitioner/{user.practitioner}"
    return claims


class OwnIdTokens:
    """Implements ``server.IdTokens`` with an identity of the node."""

    def __init__(self, signer: Callable[[], KeySigner], base_url: str) -> None:
        """``signer`` gives the identity in use; it raises ``TrustError`` when there is none."""
        self._signer = signer
        self._base_url = base_url

    def usable(self) -> bool:
        """Whether the identity can be used now."""
        return self._current() is not None

    def sign(self, approval: Approval, user: User, *, now: datetime) -> str | None:
        """The id_token of an approval."""
        signer = self._current()
        if signer is None:
            return None
        issued = int(now.timestamp())
        claims = identity(user, approval.scope, self._base_url) | {
            "aud": approval.client_id,
            "iat": issued,
            "exp": issued + int(LIFE.total_seconds()),
            "auth_time": int(approval.began.timestamp()),
        }
        if approval.nonce is not None:
            claims["nonce"] = approval.nonce
        return sign_jwt(claims, signer, key_id=_jwk(signer)["kid"])

    def keys(self) -> dict[str, Any]:
        """The key in use, as a key set; empty without an identity."""
        signer = self._current()
        return {"keys": [] if signer is None else [_jwk(signer)]}

    def _current(self) -> KeySigner | None:
        try:
            return self._signer()
        except TrustError:
            return None


def _jwk(signer: KeySigner) -> dict[str, Any]:
    key = signer.public_key
    made: RSAKey | ECKey
    if isinstance(key, rsa.RSAPublicKey):
        made, algorithm = RSAKey.import_key(key), "RS256"
    else:
        made, algorithm = ECKey.import_key(key), "ES256"
    return {**made.as_dict(private=False), "kid": made.thumbprint(), "alg": algorithm, "use": "sig"}
