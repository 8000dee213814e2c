"""Goes from layer to layer, and stops where nothing further can be tried.

The message is sent last, and only to a server that is the peer's own, by the same initiating side
that asks about patients: policy, assertion, binding and ledger entry are those of any exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from node.exchange.ports import Clock, PeerEntry
from node.model import Principal, Transaction
from node.policy.decide import Decision
from node.probe.certificates import (
    judge_binding,
    judge_chain,
    judge_revocation,
    server_certificate,
)
from node.probe.layers import (
    Layer,
    LayerResult,
    ProbeReport,
    ServerCertificate,
    State,
    found,
    not_reached,
)
from node.probe.message import judge_reply
from node.probe.observed import Address, Messenger, Network, Reached, Reply, ServerTrust
from node.probe.way import (
    judge_client_certificate,
    judge_connections,
    judge_entry,
    judge_names,
    judge_tls,
)

_HTTPS = 443
_NOT_TRIED = "A layer below it has to work first."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget:
    """Whom to probe, for what, and what our own policy says of asking it."""

    entry: PeerEntry
    transaction: Transaction
    asker: Principal
    decision: Decision

    @property
    def address(self) -> str | None:
        """The endpoint's address."""
        return self.entry.addresses.get(self.transaction)


class Prober:
    """Probes peers over the ports it is given; keeps nothing between two probes."""

    def __init__(
        self,
        *,
        network: Network,
        trust: ServerTrust,
        messenger: Messenger,
        clock: Clock,
        own_until: datetime,
    ) -> None:
        """``own_until`` is when our client certificate ends."""
        self._network = network
        self._trust = trust
        self._messenger = messenger
        self._clock = clock
        self._own_until = own_until

    async def probe(self, target: ProbeTarget) -> ProbeReport:
        """Look at every layer; a peer's failure is a finding, never an exception."""
        started = self._clock.now()
        walk = _Walk(self._clock)
        walk.add(judge_entry(target.entry, target.transaction, target.decision))
        reply: Reply | None = None
        place = _place(target.address)
        if target.address and place is None:
            sentence = "The endpoint's address is no https URL."
            walk.replace(found(Layer.DIRECTORY, "address-invalid", sentence))
        if place is not None:
            open_way = await self._way(walk, place, target.entry)
            if open_way and target.decision.permitted and target.entry.home_community_id:
                reply = await self._messenger.send(target.entry, target.transaction, target.asker)
                walk.add_all(judge_reply(reply), reply.leg.duration_ms)
        return ProbeReport(
            organization_id=target.entry.organization_id,
            home_community_id=target.entry.peer(target.transaction).home_community_id,
            name=target.entry.name,
            transaction=target.transaction,
            address=target.address,
            purpose=target.asker.purpose.code,
            started=started,
            layers=walk.complete(),
            certificate=walk.certificate,
            outcome=reply.leg.outcome if reply else None,
            answer_ms=reply.leg.duration_ms if reply else None,
            deviations=reply.evidence.deviations if reply else (),
            leg_id=reply.leg.leg_id if reply else None,
        )

    async def _way(self, walk: _Walk, place: tuple[str, int, str], entry: PeerEntry) -> bool:
        """Everything below the message; whether a message may be sent now."""
        host, port, path = place
        resolution = await self._network.resolve(host, port)
        if not walk.add(judge_names(host, resolution)):
            return False
        tried = await self._network.connect(resolution.addresses)
        if not walk.add(judge_connections(tried)):
            return False
        async with self._network.handshake(_first(tried), host) as handshake:
            seen = handshake.seen
            if not walk.add(judge_tls(seen, handshake.trouble)):
                return False
            unreadable = seen.presented_unreadable or not seen.presented
            if not unreadable:
                walk.certificate = server_certificate(seen.presented[0])
            chain = None if unreadable else self._trust.chain(seen)
            if not walk.add(judge_chain(seen, chain, now=self._clock.now())):
                return False
            binding = self._trust.binding(entry, seen)
            bound = walk.add(judge_binding(seen, host, binding))
            if not walk.add(judge_revocation(binding)) or not bound:
                return False
            greeting = await handshake.greet(path)
            judged = judge_client_certificate(greeting, self._own_until, now=self._clock.now())
            walk.add(judged)
            # a server that wants no certificate still answers, and the operator wants to know how
            return judged.state is not State.FAIL or not greeting.seen.certificate_requested


class _Walk:
    """The layers so far, each with the time since the one before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self._results: list[LayerResult] = []
        self.certificate: ServerCertificate | None = None

    def add(self, result: LayerResult) -> bool:
        """Note a layer; whether the next one may be tried."""
        now = self._clock.monotonic()
        self._results.append(replace(result, ms=round((now - self._since) * 1000)))
        self._since = now
        return result.state is not State.FAIL

    def add_all(self, results: Sequence[LayerResult], ms: int) -> None:
        """Note the layers that one message told of; its time stands at the first of them."""
        first, *rest = results
        if first.layer in {one.layer for one in self._results}:
            # a failure that the layers before did not see: it is the better-informed judgement
            self.replace(replace(first, ms=ms))
        else:
            self._results.append(replace(first, ms=ms))
        self._results.extend(rest)

    def replace(self, result: LayerResult) -> None:
        """Put another finding in the place of an earlier one of its layer."""
        self._results = [result if one.layer is result.layer else one for one in self._results]

    def complete(self) -> tuple[LayerResult, ...]:
        """Every layer, those that were not tried included."""
        known = {one.layer: one for one in self._results}
        return tuple(known.get(layer) or not_reached(layer, _NOT_TRIED) for layer in Layer)


def _first(tried: Sequence[Reached]) -> Address:
    return next(one.address for one in tried if one.trouble is None)


def _place(address: str | None) -> tuple[str, int, str] | None:
    """Host, port and path of an https address, or ``None``."""
    try:
        parts = urlsplit(address or "")
        host, port = parts.hostname, parts.port or _HTTPS
    except ValueError:
        return None
    if parts.scheme != "https" or not host or parts.username:
        return None
    return host, port, parts.path or "/"
