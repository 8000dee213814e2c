"""A server's UDAP metadata: what it must say, and what its signature makes true (1.3).

Signed values win over the plain ones, so a client goes by ``Discovered`` alone. When the signed
part does not hold, there is nothing to go by. Absolute rules are refused; a table row that others
break without harm is counted as a deviation (DESIGN law 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from trust.errors import TrustError
from trust.udap.claims import Expected, check_envelope, text, texts
from trust.udap.statement import AUTHORIZATION_CODE, CLIENT_CREDENTIALS, PRIVATE_KEY_JWT
from trust.udap.strict_json import JsonObject

MAX_LIFETIME = timedelta(days=366)
"""A year, whichever."""

SIGNED_ALGORITHM = "RS256"
_MAX_LIST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainMetadata:
    """The unsigned part, its required fields checked.

    Attributes:
        signed: the token in ``signed_metadata``.
        deviations: rules of the table that the server broke and that harm nobody.
    """

    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    extensions: tuple[str, ...]
    extensions_required: tuple[str, ...]
    certifications: tuple[str, ...]
    certifications_required: tuple[str, ...]
    algorithms: tuple[str, ...]
    registration_algorithms: tuple[str, ...]
    signed: bytes
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """The endpoints that the signed part vouches for, and the plain part beside them."""

    base_url: str
    token_endpoint: str
    registration_endpoint: str
    authorization_endpoint: str | None
    expires: datetime
    plain: PlainMetadata


def read_plain(document: JsonObject) -> PlainMetadata:
    """Checks the unsigned part of a metadata document.

    Raises:
        TrustError: ``udap-metadata-invalid``, the field's name in ``where``.
    """
    deviations: list[str] = []
    if document.get("udap_versions_supported") != ["1"]:
        raise _invalid("udap_versions_supported", 'is not ["1"]')
    profiles = _list(document, "udap_profiles_supported")
    grants = _list(document, "grant_types_supported")
    needed = {"udap_dcr", "udap_authn"}
    if not needed <= set(profiles):
        raise _invalid("udap_profiles_supported", "lacks udap_dcr or udap_authn")
    if CLIENT_CREDENTIALS in grants and "udap_authz" not in profiles:
        deviations.append("metadata-profile-authz")
    if not grants:
        raise _invalid("grant_types_supported", "is empty")
    if _list(document, "token_endpoint_auth_methods_supported") != (PRIVATE_KEY_JWT,):
        if PRIVATE_KEY_JWT not in _list(document, "token_endpoint_auth_methods_supported"):
            raise _invalid("token_endpoint_auth_methods_supported", "lacks private_key_jwt")
        deviations.append("metadata-auth-methods")
    return PlainMetadata(
        grant_types=grants,
        scopes=_lenient(document, "scopes_supported", deviations),
        extensions=_lenient(document, "udap_authorization_extensions_supported", deviations),
        extensions_required=_optional(document, "udap_authorization_extensions_required"),
        certifications=_lenient(document, "udap_certifications_supported", deviations),
        certifications_required=_optional(document, "udap_certifications_required"),
        algorithms=_list(document, "token_endpoint_auth_signing_alg_values_supported"),
        # required since STU 2, optional before: servers of the older guide leave it out
        registration_algorithms=_lenient(
            document, "registration_endpoint_jwt_signing_alg_values_supported", deviations
        ),
        signed=_signed(document),
        deviations=tuple(deviations),
    )


def check_signed(
    claims: JsonObject,
    plain: PlainMetadata,
    *,
    algorithm: str,
    uris: Sequence[str],
    base_url: str,
    now: datetime,
) -> Discovered:
    """Checks the claims of the proved ``signed_metadata``.

    Args:
        claims: as proved.
        plain: the part beside it.
        algorithm: with which it was signed.
        uris: the URIs of its signer's certificate.
        base_url: where it was fetched from, without ``/.well-known/udap``.
        now: the current time.

    Raises:
        TrustError: those of ``check_envelope``, ``jwt-algorithm``, ``jwt-claim-*``.
    """
    if algorithm != SIGNED_ALGORITHM:
        raise TrustError("jwt-algorithm", "Signed metadata must be signed with RS256.")
    expected = Expected(
        issuers=[uri for uri in uris if uri == base_url], audience=None, lifetime=MAX_LIFETIME
    )
    envelope = check_envelope(claims, expected, now=now)
    authorization = None
    if AUTHORIZATION_CODE in plain.grant_types:
        authorization = _endpoint(claims, "authorization_endpoint")
    return Discovered(
        base_url=base_url,
        token_endpoint=_endpoint(claims, "token_endpoint"),
        registration_endpoint=_endpoint(claims, "registration_endpoint"),
        authorization_endpoint=authorization,
        expires=envelope.expires,
        plain=plain,
    )


def _endpoint(claims: JsonObject, name: str) -> str:
    value = text(claims, name)
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme != "https" or not parts.hostname or parts.fragment:
        raise TrustError(
            "jwt-claim-form", f"The metadata's {name} is no absolute https address.", where=name
        )
    return value


def _signed(document: JsonObject) -> bytes:
    value = document.get("signed_metadata")
    if not isinstance(value, str) or not value.isascii():
        raise _invalid("signed_metadata", "is missing or no text")
    return value.encode("ascii")


def _list(document: JsonObject, name: str) -> tuple[str, ...]:
    try:
        return texts(document, name, most=_MAX_LIST)
    except TrustError as error:
        raise _invalid(name, "is missing or no array of text") from error


def _lenient(document: JsonObject, name: str, deviations: list[str]) -> tuple[str, ...]:
    if document.get(name) is None:
        deviations.append(f"metadata-lacks-{name.replace('_', '-')}"[:64])
        return ()
    return _list(document, name)


def _optional(document: JsonObject, name: str) -> tuple[str, ...]:
    return _list(document, name) if document.get(name) is not None else ()


def _invalid(name: str, what: str) -> TrustError:
    return TrustError(
        "udap-metadata-invalid", f"The server's UDAP metadata: {name} {what}.", where=name
    )
