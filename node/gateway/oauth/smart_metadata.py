"""``.well-known/smart-configuration``: what SMART clients need to know (fhir-and-udap 2.1)."""

from __future__ import annotations

from typing import Any, Final

from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.smart_proof import ALGORITHMS
from trust.udap.statement import CLIENT_CREDENTIALS, PRIVATE_KEY_JWT

SMART_CONFIGURATION: Final = "/.well-known/smart-configuration"


def smart_configuration(server: AuthorizationServer) -> dict[str, Any]:
    """The document. A list names only what works."""
    addresses = server.addresses
    return {
        "token_endpoint": addresses.token,
        "token_endpoint_auth_methods_supported": [PRIVATE_KEY_JWT],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": [CLIENT_CREDENTIALS],
        "introspection_endpoint": addresses.introspection,
        "scopes_supported": list(server.offer.advertised),
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }
