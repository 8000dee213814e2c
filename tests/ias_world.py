"""A credential service provider for tests: its keys, its tokens, the person whom it proves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry, serialize_compact

from node.model import Address, Demographics, PersonName, Telecom
from trust.udap.id_token import IdTokenRules
from trust.udap.jwks import read_jwks

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ISSUER = "https://csp.example"
HCID = "urn:oid:2.999.2"
PERSON = Demographics(
    names=(PersonName(family="Brightwater", given=("Orsolya",)),),
    birth_date="19810709",
    sex="F",
    addresses=(
        Address(lines=("1 High Street",), city="Salem", state="OR", postal_code="97301-1234"),
    ),
    telecoms=(Telecom(value="tel:+1-503-555-0100"), Telecom(value="mailto:o@mail.example")),
)


@cache
def csp_key(name: str) -> RSAKey:
    """A key pair of the provider."""
    return RSAKey.generate_key(2048, {"kid": name}, private=True)


def csp_jwks(*names: str) -> str:
    """What it publishes."""
    return json.dumps(
        {"keys": [csp_key(name).as_dict(private=False) for name in names or ("one",)]}
    )


def id_token(
    claims: Mapping[str, Any] | None = None,
    *,
    key: RSAKey | None = None,
    alg: str = "RS256",
    header: Mapping[str, Any] | None = None,
    now: datetime = NOW,
    audience: str = HCID,
) -> str:
    """A token; ``claims`` and ``header`` replace, ``None`` takes away."""
    used = key or csp_key("one")
    issued = int(now.timestamp())
    found = {
        "iss": ISSUER,
        "sub": "person-1",
        "aud": audience,
        "iat": issued,
        "exp": issued + 300,
        "jti": "token-1",
        "family_name": "Brightwater",
        "given_name": "Orsolya",
        "birthdate": "1981-07-09",
        "address": {
            "street_address": "1 High Street",
            "locality": "Salem",
            "regionality": "OR",
            "postal_code": "97301",
        },
        "phone_number": "+15035550100",
    } | dict(claims or {})
    fields = {"alg": alg, "kid": used.kid, "typ": "JWT"} | dict(header or {})
    payload = json.dumps({n: v for n, v in found.items() if v is not None}).encode()
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    return serialize_compact(
        {n: v for n, v in fields.items() if v is not None},
        payload,
        used,
        algorithms=[alg],
        registry=registry,
    )


def rules(**changes: Any) -> IdTokenRules:
    """What a node demands that trusts the provider."""
    published = read_jwks(csp_jwks().encode())
    given = {"keys": lambda issuer, _kid: published if issuer == ISSUER else None}
    return IdTokenRules(**{**given, "lifetime": timedelta(hours=1), **changes})
