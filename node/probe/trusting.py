"""Our judgement of a server's certificates: ``observed.ServerTrust`` over anchors and binder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509

from node.exchange.ports import PeerEntry
from trust.binder import Binder
from trust.binding import BindingVerdict, OrganizationTrust, PresentedKeys
from trust.chain import ChainVerdict, Strength, verify_chain
from trust.tls_observer import TlsObservation
from trust.usages import Usage


class AnchoredTrust:
    """The same anchors, binder and facts as every exchange uses."""

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        binder: Binder,
        trust_of: Callable[[PeerEntry], OrganizationTrust],
        now: Callable[[], datetime],
        floor: Strength,
    ) -> None:
        """``anchors`` are those for TLS servers; ``floor`` is for keys below 128 bits."""
        self._anchors = tuple(anchors)
        self._binder = binder
        self._trust_of = trust_of
        self._now = now
        self._floor = floor

    def chain(self, seen: TlsObservation) -> ChainVerdict:
        """Whether they chain to an anchor of ours for TLS servers."""
        leaf, *rest = seen.presented
        return verify_chain(
            leaf,
            rest,
            self._anchors,
            usage=Usage.TLS_SERVER,
            now=self._now(),
            floor=self._floor,
        )

    def binding(self, entry: PeerEntry, seen: TlsObservation) -> BindingVerdict:
        """Whether they are the organisation's."""
        leaf, *rest = seen.presented
        return self._binder.bind(
            PresentedKeys(tls_leaf=leaf, intermediates=tuple(rest), tls_usage=Usage.TLS_SERVER),
            self._trust_of(entry),
            now=self._now(),
        )
