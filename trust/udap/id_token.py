"""The id_token of a credential service provider: who an individual was proved to be.

It is an OpenID Connect ID Token, signed RS256, whose audience is the home community id of the
individual access provider (facts: tefca 8.1, SOP IAS 3.0). The same token goes with every question
that it stands behind (discovery, query, retrieve, FHIR), so its ``jti`` must be there and is not
remembered: what carries it, an assertion or an authentication token, is accepted once.

Whether the person is the one who is asked about is ``node.policy.individual``. No claim's value is
ever quoted in an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from trust.errors import TrustError
from trust.udap.claims import Expected, check_envelope, malformed, missing, text
from trust.udap.jwks import PublishedKey, key_for
from trust.udap.jwt import (
    accepted_algorithm,
    proved_by,
    read_header,
    unproved_claim,
    unproved_claims,
)
from trust.udap.strict_json import JsonObject

ALGORITHM: Final = "RS256"
MAX_BYTES: Final = 16 * 1024
MAX_CLAIM: Final = 256
_STATES: Final = ("region", "regionality")
"""OIDC's name of the state, and the one of the SOP: both are read (tefca 8.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedPerson:
    """Whom the provider proved: a person's data, shown nowhere.

    ``birth_date`` has eight digits; of an address, what there is.
    """

    family: str = field(repr=False)
    given: str = field(repr=False)
    birth_date: str = field(repr=False)
    street: str | None = field(default=None, repr=False)
    city: str | None = field(default=None, repr=False)
    state: str | None = field(default=None, repr=False)
    postal_code: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """A token that holds: who issued it, when, and about whom; ``deviations`` were tolerated."""

    issuer: str
    token_id: str
    expires: datetime
    person: ProvedPerson
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenRules:
    """What is demanded.

    Attributes:
        keys: the keys of an issuer, one with the kid among them where there is any; ``None`` for
            one whom we do not trust. Raises ``TrustError`` when they cannot be had.
        lifetime: the longest from ``iat`` to ``exp``.
        skew: how far ahead of ours the issuer's clock may be.
    """

    keys: Callable[[str, str], Sequence[PublishedKey] | None]
    lifetime: timedelta = timedelta(hours=1)
    skew: timedelta = timedelta(minutes=1)


def digest_of_id_token(token: str) -> str:
    """What the log keeps of a token: its SHA-256 (hex)."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read_id_token(token: str, rules: IdTokenRules, *, audience: str, now: datetime) -> IdToken:
    """Prove a token and read it.

    Args:
        token: compact JWS.
        rules: whose tokens, and how long they may live.
        audience: the home community id, ``urn:oid:…``, of whoever shows it.
        now: the time.

    Raises:
        TrustError: ``id-token-issuer``, ``id-token-kid``, ``jwks-key-unknown``, and the ``jwt-*``
            codes; ``jwt-claim-missing`` and ``jwt-claim-form`` name the claim in ``where``.
    """
    data = token.encode("utf-8", "surrogateescape")
    if len(data) > MAX_BYTES:
        raise TrustError("jwt-too-large", f"An id_token is larger than {MAX_BYTES} bytes.")
    header = read_header(data)
    accepted_algorithm(header, (ALGORITHM,))
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise TrustError("id-token-kid", "The id_token does not say which key signed it (kid).")
    issuer = unproved_claim(data, "iss")
    keys = rules.keys(issuer, key_id)
    if keys is None:
        raise TrustError(
            "id-token-issuer", "The id_token's issuer is none that this node trusts.", where="iss"
        )
    claims = proved_by(data, key_for(keys, key_id, ALGORITHM), ALGORITHM)
    envelope = check_envelope(
        claims,
        Expected(
            issuers=[issuer], audience=audience, same_subject=False,
            lifetime=rules.lifetime, skew=rules.skew,
        ),
        now=now,
    )  # fmt: skip
    return IdToken(
        issuer=envelope.issuer,
        token_id=envelope.token_id,
        expires=envelope.expires,
        person=_person(claims),
        deviations=envelope.deviations,
    )


def told_person(token: str) -> ProvedPerson:
    """Whom a token names, unproved: for us who were given it and hand it on.

    Raises:
        TrustError: the ``jwt-*`` codes of its form.
    """
    return _person(unproved_claims(token.encode("utf-8", "surrogateescape")))


def _person(claims: JsonObject) -> ProvedPerson:
    born = text(claims, "birthdate", limit=MAX_CLAIM).replace("-", "")
    if len(born) != 8 or not (born.isascii() and born.isdecimal()):  # noqa: PLR2004 - YYYYMMDD
        raise malformed("birthdate")
    address = claims.get("address")
    if address is None:
        raise missing("address")
    if not isinstance(address, dict):
        raise malformed("address")
    found = ProvedPerson(
        family=text(claims, "family_name", limit=MAX_CLAIM),
        given=text(claims, "given_name", limit=MAX_CLAIM),
        birth_date=born,
        street=_optional(address, "street_address"),
        city=_optional(address, "locality"),
        state=next((s for name in _STATES if (s := _optional(address, name))), None),
        postal_code=_optional(address, "postal_code"),
        email=_verified(claims, "email"),
        phone=_verified(claims, "phone_number"),
    )
    if found.postal_code is None and (found.city is None or found.state is None):
        raise malformed("address")
    if found.email is None and found.phone is None:
        raise missing("email or phone_number")
    return found


def _verified(claims: JsonObject, name: str) -> str | None:
    """A claim that the provider does not say it left unproved."""
    if claims.get(f"{name}_verified", True) is not True:
        return None
    return _optional(claims, name)


def _optional(claims: JsonObject, name: str) -> str | None:
    return None if claims.get(name) is None else text(claims, name, limit=MAX_CLAIM)
