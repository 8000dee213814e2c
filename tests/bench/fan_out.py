"""What asking many peers at once costs per leg, beyond one direct call.

Twice: over simulated peers in memory, and over real calls to a serving node that stands for all
peers. The initiating side is real both times: policy, events, and a durable ledger entry per leg.
A direct call is the same client without any of that, one call after the other; it is the floor of
the rows, whose value is what a leg costs more than it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop

from node.clock import SystemClock
from node.exchange.initiate import Initiator, LegEnded, Limits
from node.exchange.leg_runner import LegRunner
from node.exchange.legs import Legs
from node.exchange.ports import Call, PeerEntry, Peers, Trace
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.model import Outcome, PatientQuery, Principal, Transaction
from node.peers.assertion import AssertionIssuer
from node.peers.pool import open_pool
from node.peers.soap_client import Caller, SoapPeers
from node.policy.purposes import purpose_register
from node.storage.engine import migrate, open_engine
from tests.bench.homes import Pair, pin_asker
from tests.bench.people import asked
from tests.bench.process import working
from tests.bench.row import Row, Sizes, alternately
from tests.sim.network import OWN, SimDirectory, SimPeer, SimPeers, entry, principal

_TARGET = 1500.0
_SECONDS = 60.0
_UNIT = "µs CPU/leg"
_STRANGER = 20_000_000
_WARM_UP = 100


class _Network:
    """Who asks, whom, and through which client."""

    def __init__(self, peers: Peers, entries: Sequence[PeerEntry], asker: Principal) -> None:
        self.peers = peers
        self.entries = entries
        self.asker = asker

    async def direct(self, calls: int) -> float:
        """CPU µs of a call, one after the other."""
        clock, query = SystemClock(), PatientQuery(demographics=asked(_STRANGER))
        started = time.process_time()
        for each in self.entries[:calls]:
            call = Call(
                message_id=f"urn:uuid:{clock.new_id()}", principal=self.asker, timeout=_SECONDS
            )
            peer = each.peer(Transaction.ITI_55)
            await self.peers.discover(peer, query, call, Trace())
        return (time.process_time() - started) / calls * 1e6

    async def fanned(self, legs: int, ledger: ExchangeLedger) -> float:
        """CPU µs of a leg of one question to so many peers."""
        directory, clock = SimDirectory(*self.entries[:legs]), SystemClock()
        initiator = Initiator(
            legs=Legs(
                runner=LegRunner(
                    own=self.asker.home_community_id,
                    own_initiates=lambda: frozenset({self.asker.purpose.code}),
                    ledger=ledger,
                    directory=directory,
                    clock=clock,
                    purposes=purpose_register(),
                ),
                peers=self.peers,
            ),
            directory=directory,
            clock=clock,
            limits=Limits(),
            date_range_purposes=frozenset(),
        )
        query = PatientQuery(demographics=asked(_STRANGER))
        started = time.process_time()
        events = initiator.find_patients(self.asker, query)
        ended = [e.result.leg async for e in events if isinstance(e, LegEnded)]
        taken = time.process_time() - started
        bad = [leg.sentence for leg in ended if leg.outcome is not Outcome.OK_EMPTY]
        if len(ended) != legs or bad:
            raise RuntimeError(f"{len(ended)} of {legs} legs ended, not as they should: {bad[:3]}")
        return taken / legs * 1e6


def simulated_rows(sizes: Sizes) -> Iterator[Row]:
    """Over peers in memory."""
    most = max(sizes.fanout)
    peers = SimPeers(*(SimPeer(n, knows=False) for n in range(2, most + 2)))
    entries = [entry(n) for n in range(2, most + 2)]
    network = _Network(peers, entries, principal())
    assert network.asker.home_community_id == OWN
    with open_ledger() as ledger, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield from _rows("simulated peers", network, ledger, runner, sizes)


def real_rows(pair: Pair, sizes: Sizes) -> Iterator[Row]:
    """Over real calls with mutual TLS and signed assertions."""
    pin_asker(pair, pinned=True)
    asking, answering = pair.asking, pair.answering
    code = asking.principal.purpose.code
    entries = [
        PeerEntry(
            organization_id=f"organization-{number}",
            home_community_id=answering.home_community_id,
            name=f"Peer {number}",
            active=True,
            initiates=frozenset({code}),
            responds={t: frozenset({code}) for t in Transaction},
            addresses={t: answering.peer(t).address or "" for t in Transaction},
        )
        for number in range(max(sizes.fanout))
    ]
    with (
        working("node", answering.home.path),
        open_ledger() as ledger,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        session = runner.run(_pool(pair))
        peers = SoapPeers(
            session=session,
            issuer=AssertionIssuer(signer=asking.signer),
            own=Caller(home_community_id=asking.home_community_id),
            clock=SystemClock(),
        )
        network = _Network(peers, entries, asking.principal)
        # opens the connections and fills the caches of both ways
        runner.run(network.direct(min(sizes.fanout)))
        runner.run(network.fanned(min(max(sizes.fanout), _WARM_UP), ledger))
        yield from _rows("real calls", network, ledger, runner, sizes)
        runner.run(session.close())


async def _pool(pair: Pair):  # type: ignore[no-untyped-def]
    return open_pool(pair.asking.client_context)


def _rows(
    kind: str, network: _Network, ledger: ExchangeLedger, runner: asyncio.Runner, sizes: Sizes
) -> Iterator[Row]:
    for legs in sizes.fanout:
        # a small batch needs more rounds for the same certainty
        rounds = sizes.fanout_rounds * (2 if legs == max(sizes.fanout) else 5)
        batch = min(legs, 100)
        fanned, direct = alternately(
            [
                lambda legs=legs: runner.run(network.fanned(legs, ledger)),
                lambda batch=batch: runner.run(network.direct(batch)),
            ],
            rounds,
        )
        beyond = median(f - d for f, d in zip(fanned, direct, strict=True))
        yield Row(
            name=f"fan-out to {legs} {kind}, per leg beyond a direct call",
            value=beyond,
            unit=_UNIT,
            floor=median(direct),
            target=_TARGET,
        )


@contextmanager
def open_ledger() -> Iterator[ExchangeLedger]:
    """A ledger over a database of its own."""
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'node.db'}")
        migrate(engine)
        ledger = ExchangeLedger(engine, LedgerKey(bytes(range(32))))
        try:
            yield ledger
        finally:
            ledger.close()
            engine.dispose()
