"""What the endpoints of the authorization server share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from node.exchange.ports import Clock, PeerEntry
from node.gateway.oauth.approvals import Approval, Approvals
from node.gateway.oauth.attempt import AuthorizationLog
from node.gateway.oauth.local_client import APP_SCOPES
from node.gateway.oauth.own import OwnParty
from node.gateway.oauth.proof import ClientRules
from node.gateway.oauth.store import OauthStore
from node.model import HomeCommunityId
from node.policy.scopes import Offer
from node.users.model import User
from trust.udap.ias import Ias

TOKEN_LIFE = timedelta(minutes=60)
"""The longest that the guide allows (1.5)."""

MAX_TOKENS = 20_000
"""Tokens of one client that are alive at once: one for each of its users."""


class Peers(Protocol):
    """What the authorization server asks of the directory."""

    @property
    def version(self) -> str:
        """Names the state of the directory."""
        ...

    def by_home_community_id(self, hcid: HomeCommunityId) -> PeerEntry | None:
        """The entry with an HCID."""
        ...

    def by_organization_id(self, organization_id: str) -> PeerEntry | None:
        """The entry with a directory id."""
        ...

    def lies_under(self, organization_id: str, ancestor_id: str) -> bool:
        """Whether an entry is another one or below it."""
        ...


class People(Protocol):
    """Our users."""

    def find(self, login: str) -> User | None:
        """The person with a login."""
        ...


class IdTokens(Protocol):
    """Signs who a person is (OpenID Connect)."""

    def usable(self) -> bool:
        """Whether we have a key to sign with."""
        ...

    def sign(self, approval: Approval, user: User, *, now: datetime) -> str | None:
        """An id_token, or ``None`` where we have nothing to sign with."""
        ...

    def keys(self) -> dict[str, Any]:
        """The public keys by which they are checked (JWKS)."""
        ...


class Individuals(Protocol):
    """People who ask for their own records (``tefca_ias``)."""

    def patient(self, ias: Ias, *, audience: str) -> str:
        """The id of the one Patient of ours who an individual is proved to be.

        Called in a thread. ``audience`` is the home community id of who asks for them.

        Raises:
            Refused: ``ias-*``.
        """
        ...


RIGHT: Final = "apps"
"""Of people who may open apps."""


def may_open_apps(user: User | None) -> bool:
    """Whether a person may use apps now."""
    return user is not None and user.active and RIGHT in user.rights


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where this server is, letter by letter as its metadata says."""

    base_url: str

    @property
    def path(self) -> str:
        """The path of the base address, without a slash at its end."""
        return urlsplit(self.base_url).path.rstrip("/")

    @property
    def token(self) -> str:
        """The token endpoint."""
        return f"{self.base_url}/token"

    @property
    def registration(self) -> str:
        """The registration endpoint."""
        return f"{self.base_url}/register"

    @property
    def authorization(self) -> str:
        """Where a person approves what an app may do."""
        return f"{self.base_url}/authorize"

    @property
    def launch(self) -> str:
        """Where an EHR says what an app is opened for."""
        return f"{self.base_url}/launch"

    @property
    def revocation(self) -> str:
        """The revocation endpoint."""
        return f"{self.base_url}/revoke"

    @property
    def keys(self) -> str:
        """Where the keys of our id_tokens are."""
        return f"{self.base_url}/jwks.json"

    @property
    def audiences(self) -> tuple[str, ...]:
        """The base addresses that tokens are good for: our own records, and the network's."""
        return self.base_url, self.network

    @property
    def network(self) -> str:
        """The base address of the network's records."""
        return f"{self.base_url}/network"

    @property
    def introspection(self) -> str:
        """The introspection endpoint."""
        return f"{self.base_url}/introspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRule:
    """Which consent policies a purpose demands, any of them, and where the form for it is."""

    policies: tuple[str, ...]
    form: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """The parts of one authorization server.

    Attributes:
        addresses: where it is.
        own: ourselves, whom our own clients are of.
        rules: by which clients are judged.
        peers: the directory.
        store: clients and tokens.
        log: where every attempt is entered.
        clock: time and ids.
        random: fresh random bytes, for tokens and client ids.
        offer: the scopes that may be granted.
        certifications: URIs of certifications, one of which each client must have; none when none.
        consent: per purpose, which consent policies it demands.
        token_life: how long tokens live, 60 minutes at most.
        skew: how far ahead a client's clock may be.
        approvals: what people approved for our own apps.
        people: our users.
        id_tokens: says to apps who a person is.
        individuals: finds those who ask for their own records; ``None`` refuses them.
    """

    addresses: Addresses
    own: OwnParty
    rules: ClientRules
    peers: Peers
    store: OauthStore
    approvals: Approvals
    people: People
    id_tokens: IdTokens
    log: AuthorizationLog
    clock: Clock
    random: Callable[[int], bytes]
    offer: Offer
    certifications: tuple[str, ...] = ()
    consent: Mapping[str, ConsentRule] = field(default_factory=dict)
    token_life: timedelta = TOKEN_LIFE
    skew: timedelta = timedelta(minutes=1)
    individuals: Individuals | None = None

    def app_scopes(self) -> tuple[str, ...]:
        """What apps may have beside scopes of resources, as things stand."""
        if self.id_tokens.usable():
            return APP_SCOPES
        return tuple(each for each in APP_SCOPES if each not in ("openid", "fhirUser"))

    def __post_init__(self) -> None:
        if not timedelta(0) < self.token_life <= TOKEN_LIFE:
            raise ValueError("tokens live 60 minutes at most")


def peer_app_scopes(server: AuthorizationServer) -> tuple[str, ...]:
    """What peers' apps may have beside scopes of resources: no EHR of ours opens them."""
    return tuple(each for each in server.app_scopes() if each != "launch")


def seen_key(community: str, replay_key: bytes) -> bytes:
    """Names a client's token among all communities: the same URI may be two parties in two."""
    return hashlib.sha256(community.encode() + b"\x00" + replay_key).digest()
