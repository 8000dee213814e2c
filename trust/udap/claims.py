"""What every UDAP token claims, and the rules that all of them share (facts: fhir-and-udap 1.1).

URIs are compared byte for byte: no case folding, no default port, no trailing slash. Times are
whole seconds. An expired token is expired: no tolerance is given on ``exp``, so that a ``jti`` may
be forgotten at exactly that moment, as the guide demands, without opening a hole.

A claim's value is never quoted in an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trust.errors import TrustError
from trust.udap.strict_json import JsonObject

MAX_LIFETIME = timedelta(minutes=5)
"""Of software statements and authentication tokens."""

MAX_TEXT = 2048
MAX_JTI = 256
_MAX_SECONDS = 253402300799  # the last second of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The claims that every token has, checked.

    Attributes:
        issuer, subject, token_id: ``iss``, ``sub``, ``jti``.
        issued, expires: ``iat``, ``exp``.
        deviations: what was tolerated, by name.
    """

    issuer: str
    subject: str
    token_id: str
    issued: datetime
    expires: datetime
    deviations: tuple[str, ...] = ()

    @property
    def replay_key(self) -> bytes:
        """Names the token among those of its issuer: SHA-256 over both, unambiguously."""
        parts = (self.issuer.encode(), self.token_id.encode())
        return hashlib.sha256(b"".join(b"%d:" % len(each) + each for each in parts)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say.

    Attributes:
        issuers: ``iss`` is one of these.
        audience: ``aud`` is this; ``None`` when the token need not have one.
        same_subject: whether ``sub`` must equal ``iss``.
        lifetime: the longest from ``iat`` to ``exp``.
        skew: how far ahead of ours the issuer's clock may be.
        dated: whether it must say when it was issued; without, it lives from now on.
    """

    issuers: Sequence[str]
    audience: str | None
    same_subject: bool = True
    lifetime: timedelta = MAX_LIFETIME
    skew: timedelta = timedelta(minutes=1)
    dated: bool = True


def check_envelope(claims: JsonObject, expected: Expected, *, now: datetime) -> Envelope:
    """Checks what all tokens share.

    Raises:
        TrustError: ``jwt-claim-missing``, ``jwt-claim-form`` (the claim's name is ``where``),
            ``jwt-issuer``, ``jwt-subject``, ``jwt-audience``, ``jwt-lifetime``, ``jwt-expired``,
            ``jwt-not-yet-valid``.
    """
    issuer, subject = text(claims, "iss"), text(claims, "sub")
    token_id = text(claims, "jti", limit=MAX_JTI)
    has_date = expected.dated or "iat" in claims
    issued, expires = moment(claims, "iat") if has_date else now, moment(claims, "exp")
    if issuer not in expected.issuers:
        raise TrustError(
            "jwt-issuer", "The issuer (iss) is none of the URIs in its certificate.", where="iss"
        )
    if expected.same_subject and subject != issuer:
        raise TrustError("jwt-subject", "The subject (sub) is not the issuer.", where="sub")
    deviations = _check_audience(claims, expected.audience)
    longest = expected.lifetime if has_date else expected.lifetime + expected.skew
    if (has_date and expires <= issued) or expires - issued > longest:
        raise TrustError(
            "jwt-lifetime",
            "The token is valid for too long, or ends before it begins.",
            where="exp",
        )
    if now >= expires:
        raise TrustError("jwt-expired", "The token has expired.", where="exp")
    if issued > now + expected.skew:
        raise TrustError("jwt-not-yet-valid", "The token was issued in the future.", where="iat")
    return Envelope(
        issuer=issuer,
        subject=subject,
        token_id=token_id,
        issued=issued,
        expires=expires,
        deviations=deviations,
    )


def _check_audience(claims: JsonObject, audience: str | None) -> tuple[str, ...]:
    if audience is None:
        return ()
    value = claims.get("aud")
    if value is None:
        raise TrustError("jwt-claim-missing", "The token lacks aud.", where="aud")
    if value == audience:
        return ()
    if value == [audience]:  # RFC 7519 4.1.3 allows it, the guide's tables have text
        return ("audience-array",)
    raise TrustError("jwt-audience", "The token is meant for another address (aud).", where="aud")


def text(claims: JsonObject, name: str, *, limit: int = MAX_TEXT) -> str:
    """A claim that is text, not empty, bounded. Raises ``TrustError``."""
    value = claims.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise malformed(name)
    return value


def texts(
    claims: JsonObject, name: str, *, most: int = 50, limit: int = MAX_TEXT
) -> tuple[str, ...]:
    """A claim that is an array of text. Raises ``TrustError``."""
    value = claims.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, list) or len(value) > most:
        raise malformed(name)
    if not all(isinstance(each, str) and 0 < len(each) <= limit for each in value):
        raise malformed(name)
    return tuple(value)


def moment(claims: JsonObject, name: str) -> datetime:
    """A claim that is a time in whole seconds. Raises ``TrustError``."""
    value = claims.get(name)
    if value is None:
        raise missing(name)
    if type(value) is not int or not 0 <= value <= _MAX_SECONDS:
        raise malformed(name)
    return datetime.fromtimestamp(value, UTC)


def absent(claims: JsonObject, names: Collection[str]) -> None:
    """Refuses claims that must not be there. Raises ``jwt-claim-form``."""
    for name in names:
        if name in claims:
            raise malformed(name)


def missing(name: str) -> TrustError:
    """The error for a claim that is not there."""
    return TrustError("jwt-claim-missing", f"The token lacks {name}.", where=name)


def malformed(name: str) -> TrustError:
    """The error for a claim whose value does not have its form."""
    return TrustError("jwt-claim-form", f"The token's {name} does not have its form.", where=name)
