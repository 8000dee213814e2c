"""What the endpoints of the authorization server share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from node.exchange.ports import Clock, PeerEntry
from node.gateway.oauth.attempt import AuthorizationLog
from node.gateway.oauth.own import OwnParty
from node.gateway.oauth.proof import ClientRules
from node.gateway.oauth.store import OauthStore
from node.model import HomeCommunityId
from node.policy.scopes import Offer

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where this server is, letter by letter as its metadata says."""

    base_url: str

    @property
    def token(self) -> str:
        """The token endpoint."""
        return f"{self.base_url}/token"

    @property
    def registration(self) -> str:
        """The registration endpoint."""
        return f"{self.base_url}/register"

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
    """

    addresses: Addresses
    own: OwnParty
    rules: ClientRules
    peers: Peers
    store: OauthStore
    log: AuthorizationLog
    clock: Clock
    random: Callable[[int], bytes]
    offer: Offer
    certifications: tuple[str, ...] = ()
    consent: Mapping[str, ConsentRule] = field(default_factory=dict)
    token_life: timedelta = TOKEN_LIFE
    skew: timedelta = timedelta(minutes=1)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.token_life <= TOKEN_LIFE:
            raise ValueError("tokens live 60 minutes at most")


def seen_key(community: str, replay_key: bytes) -> bytes:
    """Names a client's token among all communities: the same URI may be two parties in two."""
    return hashlib.sha256(community.encode() + b"\x00" + replay_key).digest()
