"""What the SOAP endpoints of the responding gateway share, and where each transaction is served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from node.exchange.ports import Clock, Inbox
from node.gateway.authentication import Authenticator
from node.gateway.limits import MessageLimits
from node.gateway.responding import GatewayIdentity, Receiving, Responding
from node.model import Transaction
from node.ops.metrics import Metrics
from node.wire.soap import XmlLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPaths:
    """Where each transaction is served."""

    discovery: str = "/xcpd"
    query: str = "/xca/query"
    retrieve: str = "/xca/retrieve"
    provide: str = "/xcdr"

    def of(self, transaction: Transaction) -> str:
        """The path of a transaction."""
        return {
            Transaction.ITI_55: self.discovery,
            Transaction.ITI_38: self.query,
            Transaction.ITI_39: self.retrieve,
            Transaction.ITI_80: self.provide,
        }[transaction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Everything the four endpoints share.

    Attributes:
        responding: the use cases.
        receiving: the use case that takes documents, and
        inbox: where they wait until it did; without them ITI-80 is not served.
        authenticator: decides who asks.
        clock: time and ids.
        own: what the gateway says of itself.
        public_url: how peers reach this listener, for the addresses in the WSDL.
        limits: what one request may cost.
        xml: what its XML may cost.
        metrics: where requests are counted.
        promise: gives the log promise for the answer to a message, ``None`` where none can be.
    """

    responding: Responding
    authenticator: Authenticator
    clock: Clock
    own: GatewayIdentity
    public_url: str
    paths: GatewayPaths = GatewayPaths()
    limits: MessageLimits = field(default_factory=MessageLimits)
    xml: XmlLimits = field(
        default_factory=lambda: XmlLimits(
            max_bytes=8 * 1024 * 1024, max_depth=100, max_elements=100_000, max_attributes=100_000
        )
    )
    metrics: Metrics = field(default_factory=Metrics)
    promise: Callable[[str], str | None] = lambda _message_id: None
    receiving: Receiving | None = None
    inbox: Inbox | None = None

    @property
    def serves(self) -> tuple[Transaction, ...]:
        """The transactions that are answered here."""
        takes = self.receiving is not None and self.inbox is not None
        return tuple(t for t in Transaction if takes or t is not Transaction.ITI_80)
