"""What the world showed to a probe, as values, and the ports that show it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from node.errors import CodedError
from node.exchange.ports import Evidence, PeerEntry
from node.model import (
    DiscoveryAnswer,
    Leg,
    Principal,
    QueryAnswer,
    RetrieveAnswer,
    Transaction,
)
from trust.binding import BindingVerdict
from trust.chain import ChainVerdict
from trust.tls_observer import TlsObservation


class Trouble(StrEnum):
    """How a look-up or a connection fails, without the operating system's words."""

    UNKNOWN_NAME = "unknown-name"
    NO_NAME_SERVER = "no-name-server"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Address:
    """One address of a host; ``version`` is 4 or 6."""

    host: str
    port: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What the name server said."""

    addresses: tuple[Address, ...] = ()
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """One attempt to connect to an address."""

    address: Address
    ms: int
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What came back after the handshake: the first HTTP line, an alert, or nothing.

    ``status`` is the HTTP status when the server answered at all.
    """

    seen: TlsObservation
    answered: bool = False
    status: int | None = None
    trouble: Trouble | None = None


class Handshake(Protocol):
    """A connection whose TLS handshake ended, one way or the other."""

    seen: TlsObservation
    trouble: Trouble | None

    async def greet(self, path: str) -> Greeting:
        """Ask for something harmless, to see whether the server lets us in."""
        ...


class Network(Protocol):
    """Names, connections, handshakes; nothing of it raises because of the peer."""

    async def resolve(self, host: str, port: int) -> Resolution:
        """All addresses of a host."""
        ...

    async def connect(self, addresses: Sequence[Address]) -> list[Reached]:
        """Try every address, and hang up."""
        ...

    def handshake(self, address: Address, host: str) -> AbstractAsyncContextManager[Handshake]:
        """Connect and shake hands, showing our client certificate."""
        ...


class ServerTrust(Protocol):
    """Our judgement of a server's certificates."""

    def chain(self, seen: TlsObservation) -> ChainVerdict:
        """Whether they chain to an anchor of ours for TLS servers."""
        ...

    def binding(self, entry: PeerEntry, seen: TlsObservation) -> BindingVerdict:
        """Whether they are the organisation's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How a message to the peer ended: its leg, and the answer or the error behind it."""

    leg: Leg
    answer: DiscoveryAnswer | QueryAnswer | RetrieveAnswer | None = None
    error: CodedError | None = None
    evidence: Evidence = field(default_factory=Evidence)


class Messenger(Protocol):
    """Sends the probe's message by the node's own initiating side."""

    async def send(self, entry: PeerEntry, transaction: Transaction, asker: Principal) -> Reply:
        """One message about nobody; it is in the ledger before this returns."""
        ...
