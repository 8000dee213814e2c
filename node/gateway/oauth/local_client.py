"""Clients of our own: the health system's apps and systems, which an administrator registered.

They are rows like those of UDAP clients, in a community that no network has. A backend is a system
that signs its token requests (SMART Backend Services); an app is used by a person, who approves
what it may do (SMART App Launch). An app that can keep no key is public.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from node.errors import SettingsError
from node.gateway.oauth.store import Client, ClientState
from node.policy.scopes import MAX_SCOPES, app_offer, for_ours, negotiate, own_offer, parse_scope
from node.users.roles import role_table
from trust.udap.jwks import read_jwks

LOCAL: Final = "local"
"""The community of our own clients: no URI, so that it can be none of a network."""

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]", re.ASCII)
MAX_TITLE: Final = 128
MAX_REDIRECTS: Final = 10
MAX_ADDRESS: Final = 512
LOOPBACK: Final = ("127.0.0.1", "::1")

APP_SCOPES: Final = (
    "launch", "launch/patient", "openid", "fhirUser", "offline_access", "online_access",
)  # fmt: skip
"""What an app may be granted beside scopes of resources."""


BACKEND_SCOPES: Final = ("launch",)
"""What a system may be granted beside scopes of resources: to open apps, as an EHR does."""


class Kind(StrEnum):
    """What a client of ours is."""

    BACKEND = "backend"
    APP = "app"


class Launch(StrEnum):
    """From where an app is started."""

    STANDALONE = "standalone"
    EHR = "ehr"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalClient:
    """What an administrator says of a client.

    Attributes:
        name: by which operators know it; never given to another one.
        title: as people read it when they approve.
        kind: backend or app.
        purpose: its one exchange purpose.
        scopes: what it may be granted at most.
        redirect_uris: of an app, letter by letter.
        launches: of an app.
        public: whether an app has no key.
        jwks: its keys as a JSON Web Key Set, or
        jwks_uri: where it publishes them.
        roles: of a backend, what it may do at the node beside FHIR (``users/data/roles.toml``); an
            app has those of its user.
    """

    name: str
    title: str
    kind: Kind
    purpose: str
    scopes: tuple[str, ...]
    redirect_uris: tuple[str, ...] = ()
    launches: tuple[Launch, ...] = ()
    public: bool = False
    jwks: str | None = None
    jwks_uri: str | None = None
    roles: tuple[str, ...] = ()

    def client(
        self, client_id: str, *, organization_id: str, before: Client | None, now: datetime
    ) -> Client:
        """The row of it. Raises ``SettingsError`` (``app-invalid``) and what ``read_jwks`` does."""
        _check(self)
        return Client(
            community=LOCAL,
            uri=self.name,
            client_id=client_id,
            state=ClientState.ACTIVE,
            purpose=self.purpose,
            organization_id=organization_id,
            scope=" ".join(self.scopes),
            body={
                "client_name": self.title,
                "kind": self.kind.value,
                "redirect_uris": list(self.redirect_uris),
                "launches": [each.value for each in self.launches],
                "public": self.public,
                "jwks_uri": self.jwks_uri,
                "roles": list(self.roles),
            },
            jwks=self.jwks,
            registered=before.registered if before else now,
            changed=now,
        )


def is_local(client: Client) -> bool:
    """Whether a client is one of our own."""
    return client.community == LOCAL


def local_client(client: Client) -> LocalClient:
    """What the administrator said of a client of ours."""
    body: Mapping[str, Any] = client.body
    return LocalClient(
        name=client.uri,
        title=body["client_name"],
        kind=Kind(body["kind"]),
        purpose=client.purpose,
        scopes=tuple(client.scope.split()),
        redirect_uris=tuple(body["redirect_uris"]),
        launches=tuple(Launch(each) for each in body["launches"]),
        public=body["public"],
        jwks=client.jwks,
        jwks_uri=body["jwks_uri"],
        roles=tuple(body.get("roles", ())),  # of one registered before there were any: none
    )


def _check(given: LocalClient) -> None:
    if not NAME.fullmatch(given.name):
        raise _invalid("A name has 2 to 64 of a-z, 0-9 and ._-, and begins with a letter or digit.")
    if not 0 < len(given.title.strip()) <= MAX_TITLE or not given.title.isprintable():
        raise _invalid(f"A title has 1 to {MAX_TITLE} characters.")
    if unknown := sorted(set(given.roles) - set(role_table().roles)):
        raise _invalid(f"There is no role {unknown[0]}: {', '.join(role_table().roles)}.")
    if given.roles and given.kind is not Kind.BACKEND:
        raise _invalid("An app has the roles of its user.")
    _check_keys(given)
    if given.kind is Kind.BACKEND and (given.redirect_uris or given.launches):
        raise _invalid("A backend has neither redirect URIs nor launches.")
    if given.kind is Kind.APP:
        _check_redirects(given.redirect_uris)
        if not given.launches:
            raise _invalid("An app is started standalone or from an EHR: name at least one.")
    _check_scopes(given)


def _check_keys(given: LocalClient) -> None:
    ways = [given.public, given.jwks is not None, given.jwks_uri is not None]
    if sum(ways) != 1:
        raise _invalid("A client has a key set, or the https address of one, or is public.")
    if given.public and given.kind is Kind.BACKEND:
        raise _invalid("A backend proves itself by a key; it cannot be public.")
    if given.jwks is not None:
        read_jwks(given.jwks.encode("utf-8"))
    if given.jwks_uri is not None and not _is_https(given.jwks_uri):
        raise _invalid("The address of a key set has to be https.")


def _check_redirects(uris: Sequence[str]) -> None:
    if not 0 < len(uris) <= MAX_REDIRECTS:
        raise _invalid(f"An app has 1 to {MAX_REDIRECTS} redirect URIs.")
    for uri in uris:
        if not _is_redirect(uri):
            raise _invalid(
                "A redirect URI is https, http on 127.0.0.1 or [::1], or of a scheme of the app's "
                "own that has a dot in it, and has no fragment."
            )


def _check_scopes(given: LocalClient) -> None:
    if not 0 < len(given.scopes) <= MAX_SCOPES:
        raise _invalid(f"A client has 1 to {MAX_SCOPES} scopes.")
    others = [each for each in given.scopes if parse_scope(each) is None]
    allowed = APP_SCOPES if given.kind is Kind.APP else BACKEND_SCOPES
    if unknown := sorted(set(others) - set(allowed)):
        raise _invalid(f"A client of this kind cannot have the scope {unknown[0]}.")
    offer = for_ours(own_offer() if given.kind is Kind.BACKEND else app_offer())
    for each in set(given.scopes) - set(others):
        if not negotiate([each], offer).granted:
            raise _invalid(f"The server cannot grant the scope {each} to this kind of client.")


def _is_https(uri: str) -> bool:
    parts = _parts(uri)
    return parts is not None and parts.scheme == "https" and bool(parts.hostname)


def _is_redirect(uri: str) -> bool:
    parts = _parts(uri)
    if parts is None:
        return False
    if parts.scheme in ("http", "https"):
        return bool(parts.hostname) and (parts.scheme == "https" or parts.hostname in LOOPBACK)
    return "." in parts.scheme  # RFC 8252 7.1: a name of a domain, backwards


def _parts(uri: str) -> Any:
    if not 0 < len(uri) <= MAX_ADDRESS or not uri.isascii() or not uri.isprintable():
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    forbidden = set(" \"'<>\\;,") & set(uri)
    return None if "#" in uri or "@" in parts.netloc or forbidden else parts


def _invalid(sentence: str) -> SettingsError:
    return SettingsError("app-invalid", sentence)
