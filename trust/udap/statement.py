"""A software statement: what a client says of itself when it registers (fhir-and-udap 1.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trust.errors import TrustError
from trust.udap.claims import absent, text, texts
from trust.udap.strict_json import JsonObject

AUTHORIZATION_CODE = "authorization_code"
CLIENT_CREDENTIALS = "client_credentials"
REFRESH_TOKEN = "refresh_token"  # noqa: S105  the name of a grant type
PRIVATE_KEY_JWT = "private_key_jwt"

MAX_SCOPE = 8192
MAX_NAME = 200
_ADDRESS = re.compile(
    r"https://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::[0-9]{1,5})?(?:[/?][A-Za-z0-9/?:@!$&()*+=._~%-]*)?",
    re.ASCII,
)
_LOGO_TYPES = (".png", ".jpg", ".jpeg", ".gif")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMetadata:
    """What a client wants registered.

    Attributes:
        grant_types: one of the two grants, and ``refresh_token`` where allowed; empty cancels.
        scope: the scopes asked for, in their order.
    """

    client_name: str
    contacts: tuple[str, ...]
    grant_types: tuple[str, ...]
    response_types: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    logo_uri: str | None = None
    scope: tuple[str, ...] = ()

    @property
    def cancels(self) -> bool:
        """Whether the registration is to be ended."""
        return not self.grant_types

    def as_json(self) -> Mapping[str, Any]:
        """The parameters as they are registered and echoed; none is empty but ``grant_types``."""
        found: dict[str, Any] = {
            "client_name": self.client_name,
            "contacts": list(self.contacts),
            "response_types": list(self.response_types),
            "redirect_uris": list(self.redirect_uris),
            "logo_uri": self.logo_uri,
            "scope": " ".join(self.scope),
        }
        return {name: value for name, value in found.items() if value} | {
            "grant_types": list(self.grant_types),
            "token_endpoint_auth_method": PRIVATE_KEY_JWT,
        }


def read_metadata(claims: JsonObject) -> ClientMetadata:
    """The client's metadata of a proved statement.

    Raises:
        TrustError: ``jwt-claim-missing`` or ``jwt-claim-form`` for a claim that every statement
            must have, ``client-metadata-invalid`` for a value that no client may register.
    """
    grants = texts(claims, "grant_types", most=5)
    if not grants:
        # a cancellation needs nothing else; what it says all the same is not looked at
        return ClientMetadata(client_name="", contacts=(), grant_types=())
    metadata = ClientMetadata(
        client_name=text(claims, "client_name", limit=MAX_NAME),
        contacts=texts(claims, "contacts", most=20),
        grant_types=grants,
        response_types=_optional(claims, "response_types"),
        redirect_uris=_optional(claims, "redirect_uris"),
        logo_uri=text(claims, "logo_uri") if "logo_uri" in claims else None,
        scope=tuple(dict.fromkeys(text(claims, "scope", limit=MAX_SCOPE).split(" "))),
    )
    if not metadata.client_name.isprintable():
        raise _invalid("client_name", "must be plain text: people read it before they approve")
    if text(claims, "token_endpoint_auth_method") != PRIVATE_KEY_JWT:
        raise _invalid("token_endpoint_auth_method", "must be private_key_jwt")
    if not any(each.startswith("mailto:") and "@" in each for each in metadata.contacts):
        raise _invalid("contacts", "must have a mailto: address")
    if "" in metadata.scope:
        raise _invalid("scope", "must have single spaces between its scopes")
    _check_grants(metadata, claims)
    return metadata


def _check_grants(metadata: ClientMetadata, claims: JsonObject) -> None:
    grants = metadata.grant_types
    main = [each for each in grants if each in (AUTHORIZATION_CODE, CLIENT_CREDENTIALS)]
    others = [each for each in grants if each not in main]
    if len(main) != 1 or len(set(grants)) != len(grants):
        raise _invalid("grant_types", "must have exactly one of the two grants")
    if others and (others != [REFRESH_TOKEN] or main != [AUTHORIZATION_CODE]):
        raise _invalid("grant_types", "may have refresh_token only beside authorization_code")
    if main == [CLIENT_CREDENTIALS]:
        try:
            absent(claims, ("redirect_uris", "response_types"))
        except TrustError as error:
            raise _invalid(error.where or "", "does not go with client_credentials") from error
        return
    if metadata.response_types != ("code",):
        raise _invalid("response_types", "must be code")
    if not metadata.redirect_uris or not all(map(_is_https, metadata.redirect_uris)):
        raise _invalid("redirect_uris", "must be https addresses without fragment")
    logo = metadata.logo_uri
    if logo is None or not _is_https(logo) or not urlsplit(logo).path.lower().endswith(_LOGO_TYPES):
        raise _invalid("logo_uri", "must be the https address of a PNG, JPG or GIF")


def _optional(claims: JsonObject, name: str) -> tuple[str, ...]:
    return texts(claims, name, most=20) if name in claims else ()


def _is_https(value: str) -> bool:
    """Whether it is a plain address: its host is shown to people and stands in a header of ours.

    A user name before the host, or a semicolon or blank in it, would make another host or another
    policy of it there.
    """
    found = _ADDRESS.fullmatch(value)
    try:
        return found is not None and urlsplit(value).port != 0
    except ValueError:
        return False


def _invalid(name: str, rule: str) -> TrustError:
    return TrustError("client-metadata-invalid", f"The client's {name} {rule}.", where=name)
