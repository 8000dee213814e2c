"""What we say of ourselves to a peer's authorization server, before it is signed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from node.model import Principal
from node.policy.purposes import PurposeRegister
from node.settings_fhir import fhir_data
from trust.udap.b2b import VERSION, coded
from trust.udap.statement import CLIENT_CREDENTIALS, PRIVATE_KEY_JWT

TOKEN_LIFE = timedelta(minutes=5)
CERTIFICATION_LIFE = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnClient:
    """Our client for one purpose.

    Attributes:
        uri: its URI, as in its certificate.
        name: what people call it.
        contact: a ``mailto:`` address.
        purpose: its purpose.
        home_community_id: ours.
    """

    uri: str
    name: str
    contact: str
    purpose: str
    home_community_id: str


def software_statement(
    client: OwnClient,
    endpoint: str,
    *,
    scope: Sequence[str],
    jti: str,
    now: datetime,
    cancels: bool = False,
) -> dict[str, Any]:
    """The claims with which we register, or cancel."""
    return {
        **_envelope(client.uri, endpoint, jti, now),
        "client_name": client.name,
        "contacts": [client.contact],
        "grant_types": [] if cancels else [CLIENT_CREDENTIALS],
        "token_endpoint_auth_method": PRIVATE_KEY_JWT,
        "scope": " ".join(scope),
    }


def app_certification(
    client: OwnClient, uri: str, *, jti: str, now: datetime, ends: datetime
) -> dict[str, Any]:
    """The claims of TEFCA's Basic App Certification, as we sign it ourselves (tefca 8)."""
    claims = _envelope(client.uri, None, jti, now)
    claims["exp"] = int(min(now + CERTIFICATION_LIFE, ends).timestamp())
    return claims | {
        "certification_name": fhir_data()["certifications"]["basic_app_name"],
        "certification_uris": [uri],
        "grant_types": [CLIENT_CREDENTIALS],
        "exchange_purposes": [client.purpose],
        "home_community_id": client.home_community_id,
    }


def authentication_token(
    client_id: str, endpoint: str, extensions: dict[str, Any], *, jti: str, now: datetime
) -> dict[str, Any]:
    """The claims with which we ask for a token."""
    return {**_envelope(client_id, endpoint, jti, now), "extensions": extensions}


def b2b_object(principal: Principal, register: PurposeRegister) -> dict[str, Any]:
    """The ``hl7-b2b`` object of a principal (tefca 8, table 2).

    A person is named with id and role; a system user, who has no NPI, by name alone.
    """
    found: dict[str, Any] = {
        "version": VERSION,
        "subject_name": principal.subject_id,
        "organization_name": principal.organization,
        "organization_id": f"Organization/{principal.organization_id}",
        "purpose_of_use": [coded(register.system, principal.purpose.code)],
    }
    if principal.npi:
        found["subject_id"] = coded(fhir_data()["identifiers"]["npi"], principal.npi)
        found["subject_role"] = coded(principal.role.scheme, principal.role.code)
    return found


def _envelope(issuer: str, audience: str | None, jti: str, now: datetime) -> dict[str, Any]:
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": issuer,
        "iat": issued,
        "exp": issued + int(TOKEN_LIFE.total_seconds()),
        "jti": jti,
    }
    return claims if audience is None else claims | {"aud": audience}
