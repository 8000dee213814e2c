"""``.well-known/smart-configuration``: what SMART clients need to know (fhir-and-udap 2.1).

A list names only what works at this moment: without an identity that can sign, nothing is said of
OpenID Connect.
"""

from __future__ import annotations

from typing import Any, Final

from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.smart_proof import ALGORITHMS
from node.policy.scopes import app_offer
from trust.udap.statement import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    PRIVATE_KEY_JWT,
    REFRESH_TOKEN,
)

SMART_CONFIGURATION: Final = "/.well-known/smart-configuration"
OPENID_CONFIGURATION: Final = "/.well-known/openid-configuration"

_CAPABILITIES: Final = (
    "launch-standalone", "launch-ehr", "authorize-post",
    "client-public", "client-confidential-asymmetric",
    "context-standalone-patient", "context-ehr-patient", "context-ehr-encounter", "context-banner",
    "permission-offline", "permission-online", "permission-patient", "permission-user",
    "permission-v1", "permission-v2",
)  # fmt: skip


_OF_PATIENTS: Final = (
    "context-standalone-patient", "context-ehr-patient", "context-ehr-encounter",
    "context-banner", "permission-patient",
)  # fmt: skip


def network_configuration(server: AuthorizationServer) -> dict[str, Any]:
    """The document of the network's base address, where there are no scopes of a patient."""
    found = smart_configuration(server)
    scopes, capabilities = found["scopes_supported"], found["capabilities"]
    patients = ("patient/", "launch/patient")
    return found | {
        "scopes_supported": [each for each in scopes if not each.startswith(patients)],
        "capabilities": [each for each in capabilities if each not in _OF_PATIENTS],
    }


def smart_configuration(server: AuthorizationServer) -> dict[str, Any]:
    """The document."""
    capabilities = list(_CAPABILITIES)
    if server.id_tokens.usable():
        capabilities.append("sso-openid-connect")
    return _of_both(server) | {
        "revocation_endpoint": server.addresses.revocation,
        "introspection_endpoint": server.addresses.introspection,
        "token_endpoint_auth_methods_supported": [PRIVATE_KEY_JWT, "none"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": [AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "capabilities": capabilities,
    }


def openid_configuration(server: AuthorizationServer) -> dict[str, Any] | None:
    """What OpenID Connect wants to know of an issuer; ``None`` while there is nothing to say."""
    if not server.id_tokens.usable():
        return None
    algorithms = [key["alg"] for key in server.id_tokens.keys()["keys"]]
    return _of_both(server) | {
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser"],
    }


def _of_both(server: AuthorizationServer) -> dict[str, Any]:
    addresses = server.addresses
    found: dict[str, Any] = {
        "authorization_endpoint": addresses.authorization,
        "token_endpoint": addresses.token,
        "response_types_supported": ["code"],
        "scopes_supported": [
            *server.app_scopes(),
            *app_offer().advertised,
            *server.offer.advertised,
        ],
    }
    if server.id_tokens.usable():
        found |= {"issuer": addresses.base_url, "jwks_uri": addresses.keys}
    return found
