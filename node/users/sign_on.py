"""Who somebody is by the sign-on of our organisation: an ID Token, judged. Pure.

The rules are those of OpenID Connect Core 1.0, section 3.1.3.7, for the authorization code flow,
with the stricter choices: one of four asymmetric algorithms (never ``none``), a ``kid``, a nonce
always, and ``auth_time`` wherever the person was to prove themselves anew. No value of a claim is
quoted in an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from node.errors import TheirFault
from node.users.model import LOGIN
from trust.errors import TrustError
from trust.udap.jwks import PublishedKey, key_for
from trust.udap.jwt import ALGORITHMS, accepted_algorithm, proved_by, read_header
from trust.udap.strict_json import JsonObject

MAX_TOKEN_BYTES: Final = 32 * 1024
MAX_SUBJECT: Final = 255
"""OpenID Connect Core 2: at most 255 ASCII characters."""

MAX_GROUPS: Final = 1000
_LAST_SECOND: Final = 253402300799  # of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a token must answer to.

    Attributes:
        issuer: of whom alone.
        client_id: for whom.
        nonce: of which sign-in.
        anew: since when the person must have proved themselves, where that was demanded.
        skew: how far the provider's clock may differ from ours.
    """

    issuer: str
    client_id: str
    nonce: str
    anew: datetime | None = None
    skew: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRules:
    """Whom the settings let in, and as what (see ``settings_sign_on``)."""

    roles_claim: str
    roles: Mapping[str, str]
    login_claim: str
    logins: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person whom the provider proved; ``roles`` are those that its claims give."""

    issuer: str
    subject: str = field(repr=False)
    login: str
    name: str
    roles: tuple[str, ...]


def key_id_of(token: str) -> str:
    """The ``kid`` by which to look for the token's key.

    Raises:
        TheirFault: ``sign-on-token``.
    """
    try:
        header = read_header(_bytes(token))
        accepted_algorithm(header, ALGORITHMS)
    except TrustError as error:
        raise _token(error.code) from error
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise _token("kid")
    return key_id


def proved_claims(
    token: str, asked: Asked, keys: Sequence[PublishedKey], *, now: datetime
) -> JsonObject:
    """The claims of a token that answers to what was asked.

    Raises:
        TheirFault: ``sign-on-token`` (form, algorithm, key, signature), ``sign-on-issuer``,
            ``sign-on-audience``, ``sign-on-nonce``, ``sign-on-expired``, ``sign-on-not-anew``.
    """
    key_id = key_id_of(token)
    try:
        algorithm = accepted_algorithm(read_header(_bytes(token)), ALGORITHMS)
        claims = proved_by(_bytes(token), key_for(keys, key_id, algorithm), algorithm)
    except TrustError as error:
        raise _token(error.code) from error
    if claims.get("iss") != asked.issuer:
        raise TheirFault("sign-on-issuer", "The ID Token is of another issuer.")
    _check_audience(claims, asked.client_id)
    if claims.get("nonce") != asked.nonce:
        raise TheirFault("sign-on-nonce", "The ID Token answers to another sign-in.")
    if now - asked.skew >= _moment(claims, "exp"):
        raise TheirFault("sign-on-expired", "The ID Token has expired.")
    if _moment(claims, "iat") > now + asked.skew:
        raise TheirFault("sign-on-expired", "The ID Token is from the future.")
    if asked.anew is not None and _moment(claims, "auth_time") < asked.anew - asked.skew:
        raise TheirFault(
            "sign-on-not-anew", "The provider did not ask the person to prove themselves again."
        )
    return claims


def identity(claims: JsonObject, rules: RoleRules) -> Identity:
    """Who the claims say it is, and as what they come in.

    Raises:
        TheirFault: ``sign-on-claims`` for one that is missing or unusable, ``sign-on-login`` for a
            login that the settings do not let in, ``sign-on-no-role``.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise _claim("sub")
    given = _at(claims, rules.login_claim)
    login = given.strip().lower() if isinstance(given, str) else ""
    if not LOGIN.fullmatch(login):
        raise _claim(rules.login_claim)
    if rules.logins and not any(fnmatchcase(login, each.lower()) for each in rules.logins):
        raise TheirFault("sign-on-login", "Your account is none that may sign in here.")
    found = _texts(_at(claims, rules.roles_claim))
    roles = tuple(dict.fromkeys(rules.roles[each] for each in found if each in rules.roles))
    if not roles:
        raise TheirFault(
            "sign-on-no-role", "Your account is in no group that has a role at this console."
        )
    name = claims.get("name")
    shown = _NO_CONTROLS.sub(" ", name).strip()[:_NAME] if isinstance(name, str) else ""
    return Identity(
        issuer=str(claims["iss"]), subject=subject, login=login, name=shown or login, roles=roles
    )


_NAME: Final = 128
_NO_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _check_audience(claims: JsonObject, client_id: str) -> None:
    """Core 3.1.3.7, steps 3 to 5: for us, and for others only where ``azp`` says that it is us."""
    audience, party = claims.get("aud"), claims.get("azp")
    named = [audience] if isinstance(audience, str) else audience
    ours = isinstance(named, list) and client_id in named
    alone = isinstance(named, list) and (len(named) == 1 or party is not None)
    if not ours or not alone or party not in (None, client_id):
        raise TheirFault("sign-on-audience", "The ID Token is for somebody else.")


def _moment(claims: JsonObject, name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _claim(name)
    if not 0 <= value <= _LAST_SECOND:
        raise _claim(name)
    return datetime.fromtimestamp(value, UTC)


def _at(claims: JsonObject, name: str) -> Any:
    """A claim by its name, or by a path with dots into objects."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    listed = value if isinstance(value, list) else []
    return [each for each in listed[:MAX_GROUPS] if isinstance(each, str)]


def _bytes(token: str) -> bytes:
    data = token.encode("utf-8", "surrogateescape")
    if len(data) > MAX_TOKEN_BYTES:
        raise _token("size")
    return data


def _token(why: str) -> TheirFault:
    return TheirFault(
        "sign-on-token", "The provider's ID Token cannot be believed.", detail=why, where="id_token"
    )


def _claim(name: str) -> TheirFault:
    return TheirFault(
        "sign-on-claims",
        f"The ID Token lacks {name}, or has it in no form that counts.",
        where=name,
    )
