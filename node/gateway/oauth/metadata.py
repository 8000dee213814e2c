"""``.well-known/udap``: what we say of ourselves, and the signed part of it (1.3; tefca 8).

The signed part is made anew for each signing certificate and renewed when half its life is over.
Which certificate vouches for us in a community is asked of our own path validation, as a client's
would be: in a community that would not believe us we say nothing (204).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from node.gateway.oauth.server import AuthorizationServer, peer_app_scopes
from node.policy.scopes import app_offer
from trust.certificates import fingerprint
from trust.signer import KeySigner
from trust.udap.b2b import KEY as B2B
from trust.udap.jwt import ALGORITHMS, sign_jwt
from trust.udap.signers import judge_signer
from trust.udap.statement import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    PRIVATE_KEY_JWT,
    REFRESH_TOKEN,
)

METADATA_LIFE = timedelta(days=30)
"""Of the signed part, at most; a year is allowed."""

JTI_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    token: str
    renew: datetime


class MetadataSigner:
    """Signs our metadata with the certificate of the moment; remembers what it signed."""

    def __init__(self, signer: Callable[[], KeySigner]) -> None:
        """``signer`` gives the identity in use; it raises ``TrustError`` when there is none."""
        self._signer = signer
        self._made: dict[tuple[str, str], _Signed] = {}

    def signed(self, server: AuthorizationServer, community: str | None) -> str | None:
        """The signed metadata for a community, or ``None`` where nobody in it would believe it.

        Without a community, that of the certificate's own chain is meant.

        Raises:
            TrustError: when our identity cannot be opened.
        """
        signer = self._signer()
        now = server.clock.now()
        knowledge = server.rules.knowledge()
        verdict = judge_signer(signer.certificate, signer.chain, knowledge, now=now)
        if not verdict.ok or community not in (None, verdict.community):
            return None
        if server.addresses.base_url not in verdict.uris:
            return None
        name = (verdict.community or "", fingerprint(signer.certificate))
        found = self._made.get(name)
        if found is None or now >= found.renew:
            found = self._sign(server, signer, now)
            self._made = {name: found}
        return found.token

    def _sign(self, server: AuthorizationServer, signer: KeySigner, now: datetime) -> _Signed:
        life = min(METADATA_LIFE, signer.certificate.not_valid_after_utc - now)
        issued = now.replace(microsecond=0)
        claims = {
            "iss": server.addresses.base_url,
            "sub": server.addresses.base_url,
            "iat": int(issued.timestamp()),
            "exp": int((issued + life).timestamp()),
            "jti": base64.urlsafe_b64encode(server.random(JTI_BYTES)).decode("ascii"),
            "token_endpoint": server.addresses.token,
            "registration_endpoint": server.addresses.registration,
            "authorization_endpoint": server.addresses.authorization,
        }
        return _Signed(token=sign_jwt(claims, signer, signer.chain), renew=now + life / 2)


def udap_metadata(server: AuthorizationServer, signed: str) -> dict[str, Any]:
    """The document, with its signed part."""
    certifications = list(server.certifications)
    document: dict[str, Any] = {
        "udap_versions_supported": ["1"],
        "udap_profiles_supported": ["udap_dcr", "udap_authn", "udap_authz"],
        "udap_authorization_extensions_supported": [B2B],
        # "required in every token request": it does not go with a code (1.5)
        "udap_authorization_extensions_required": [],
        "udap_certifications_supported": certifications,
        "grant_types_supported": [CLIENT_CREDENTIALS, AUTHORIZATION_CODE, REFRESH_TOKEN],
        "scopes_supported": [
            *server.offer.advertised,
            *app_offer().advertised,
            *peer_app_scopes(server),
        ],
        "authorization_endpoint": server.addresses.authorization,
        "token_endpoint": server.addresses.token,
        "token_endpoint_auth_methods_supported": [PRIVATE_KEY_JWT],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "registration_endpoint": server.addresses.registration,
        "registration_endpoint_jwt_signing_alg_values_supported": list(ALGORITHMS),
        "signed_metadata": signed,
    }
    if certifications:
        document["udap_certifications_required"] = certifications
    return document
