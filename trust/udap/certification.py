"""Certifications: what others, or a client itself, vouch for when it registers (fhir-and-udap 1.4).

TEFCA demands one, the Basic App Certification: exactly one exchange purpose and the home community
id of the client's organisation (tefca 8). Certifications of other kinds are ignored, as the guide
demands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trust.errors import TrustError
from trust.udap.claims import Envelope, Expected, check_envelope, text, texts
from trust.udap.strict_json import JsonObject

MAX_LIFETIME = timedelta(days=3 * 365 + 1)
"""Three years, whichever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certification:
    """A checked certification.

    Attributes:
        name, uris: which certification it is.
        purposes: the exchange purposes it names, as they stand.
        home_community_id: whose client it is, as it stands.
    """

    envelope: Envelope
    name: str
    uris: tuple[str, ...]
    purposes: tuple[str, ...] = ()
    home_community_id: str | None = None


def read_certification(
    claims: JsonObject,
    *,
    issuers: Sequence[str],
    client_uri: str,
    audience: str,
    now: datetime,
) -> Certification:
    """Checks the claims of a proved certification.

    Args:
        claims: as proved.
        issuers: the URIs of its signer's certificate.
        client_uri: whom it must be about.
        audience: our registration endpoint, where it names an audience.
        now: the current time.

    Raises:
        TrustError: those of ``check_envelope``, and ``jwt-claim-*``.
    """
    expected = Expected(issuers=issuers, audience=None, same_subject=False, lifetime=MAX_LIFETIME)
    envelope = check_envelope(claims, expected, now=now)
    if envelope.subject != client_uri:
        raise TrustError("jwt-subject", "A certification is about another client.", where="sub")
    aimed = claims.get("aud", audience)
    if audience not in (aimed if isinstance(aimed, list) else [aimed]):
        raise TrustError("jwt-audience", "A certification is meant for others.", where="aud")
    return Certification(
        envelope=envelope,
        name=text(claims, "certification_name"),
        uris=texts(claims, "certification_uris", most=20),
        purposes=(
            texts(claims, "exchange_purposes", most=20) if "exchange_purposes" in claims else ()
        ),
        home_community_id=(
            text(claims, "home_community_id", limit=64) if "home_community_id" in claims else None
        ),
    )
