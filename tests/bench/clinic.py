"""What a clinician's page adds to an answer on its way from its arrival at the node to the browser.

Twelve organizations are asked; eleven have answered, one answers now with 40 documents. Measured is
the CPU from the moment at which its answer is there to the bytes of the event that shows it: legs,
policy, the durable entries, the record of the search, the line of the page. The floor is the same
answer taken by the use case alone, with its entries, and nobody who looks. And the whole list as a
page that is opened has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing

import uvloop

from node.clock import SystemClock
from node.console.clinic.request import LegState, Progress
from node.console.clinic.requests import Requests
from node.console.clinic.searching import Network, Searches, SearchLimits
from node.console.clinic.slots import drawn
from node.console.clinic.stream import follow
from node.console.clinic.words import heading_of, slot_of
from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_legs import FhirLegs
from node.exchange.initiate import Initiator, LegEnded
from node.exchange.leg_runner import LegRunner
from node.exchange.legs import Legs
from node.exchange.questions import DocumentSearch
from node.ledger.ledger import ExchangeLedger
from node.model import ExchangeId, PatientQuery, Transaction
from node.policy.purposes import purpose_register
from node.records.likeness import likeness
from tests.bench.fan_out import open_ledger
from tests.bench.row import Row, Sizes, alternately, compared
from tests.sim.fhir_peers import SimFhirPeers
from tests.sim.network import (
    ALICE,
    OWN,
    SimDirectory,
    SimPeer,
    SimPeers,
    entry,
    hcid,
    principal,
)

_PEERS, _DOCUMENTS = 12, 40
_LAST = hcid(_PEERS + 1)
_TARGET_MS = 100.0
_SECONDS = 60.0
_ADA = "ada"


class _OneHeld(SimPeers):
    """Peers of which the last answers when it is told to."""

    def __init__(self) -> None:
        documents = {f"d{n}": b"x" for n in range(_DOCUMENTS)}
        super().__init__(*(SimPeer(n + 2, documents=documents) for n in range(_PEERS)))
        self.gate = asyncio.Event()

    async def discover(self, peer, query, call, trace):
        if peer.home_community_id == _LAST:
            await self.gate.wait()
        return await super().discover(peer, query, call, trace)


class _Site:
    """The searches of a node over such peers."""

    def __init__(self, ledger: ExchangeLedger) -> None:
        self.clock, self.peers = SystemClock(), _OneHeld()
        directory = SimDirectory(*(entry(n + 2) for n in range(_PEERS)))
        runner = LegRunner(
            own=OWN,
            own_initiates=lambda: frozenset({principal().purpose.code}),
            ledger=ledger,
            directory=directory,
            clock=self.clock,
            purposes=purpose_register(),
        )
        self.initiator = Initiator(
            legs=Legs(runner=runner, peers=self.peers),
            directory=directory,
            clock=self.clock,
            date_range_purposes=frozenset(),
        )
        servers = SimFhirPeers()
        broker = FhirBroker(
            legs=FhirLegs(runner=runner, peers=servers),
            peers=servers,
            initiator=self.initiator,
            directory=directory,
            clock=self.clock,
        )
        self.network = Network(
            initiator=self.initiator, broker=broker, clock=self.clock, seconds=_SECONDS
        )
        self.requests = Requests(likeness)
        self.searches = Searches(self.network, self.requests, SearchLimits())

    async def shown(self) -> float:
        """CPU milliseconds from the last answer to the event that shows it."""
        self.peers.gate.clear()
        token = self.begin()
        events = follow(
            self.requests, _ADA, token, now=self.clock.now, is_here=lambda: asyncio.sleep(0, True)
        )
        started = 0.0
        async with aclosing(events):
            async for told in events:
                if started and f"{_DOCUMENTS} documents".encode() in told:
                    return (time.process_time() - started) * 1e3
                asked = self.requests.of(_ADA, token, self.clock.now())
                if asked and len(asked.of_state(LegState.ASKING)) == 1 and not started:
                    await asyncio.sleep(0.1)  # whoever follows waits again
                    started = time.process_time()
                    self.peers.gate.set()
        raise RuntimeError("the last answer was not shown")

    async def taken(self) -> float:
        """CPU milliseconds from the same answer to the end of its last leg, with nobody looking."""
        self.peers.gate.clear()
        events = self.initiator.find_chart(
            principal(), PatientQuery(demographics=ALICE), DocumentSearch(), None, seconds=_SECONDS
        )
        started, lists = 0.0, 0
        async with aclosing(events):
            async for event in events:
                if not isinstance(event, LegEnded):
                    continue
                lists += event.result.leg.transaction is Transaction.ITI_38
                if lists == _PEERS:
                    return (time.process_time() - started) * 1e3
                if lists == _PEERS - 1 and not started:
                    await asyncio.sleep(0.1)
                    started = time.process_time()
                    self.peers.gate.set()
        raise RuntimeError("the last answer was not taken")

    def begin(self) -> str:
        token = self.requests.begin(
            _ADA,
            principal(),
            ALICE,
            self.network.asked(),
            exchange_id=ExchangeId(self.clock.new_id()),
            now=self.clock.now(),
        )
        kept = self.requests.of(_ADA, token, self.clock.now())
        if kept is None or not self.searches.begin(kept):
            raise RuntimeError("the search was not begun")
        return token

    def page(self, token: str) -> str:
        """The lines and the heading as a page that is opened has them."""
        now = self.clock.now()
        self.requests.change(token, lambda record: record.began(entry(2), now))  # draw it anew
        asked = self.requests.of(_ADA, token, now)
        if asked is None or len(asked.documents) != _PEERS * _DOCUMENTS:
            raise RuntimeError("the request is not the one that was to be measured")
        return heading_of(asked).answered + "".join(
            drawn(slot_of(asked, leg, now), token) for leg in asked.legs
        )


def clinic_rows(sizes: Sizes) -> Iterator[Row]:
    """One answer on its way, and the list of all."""
    loops = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with open_ledger() as ledger, loops as runner:
        runner.run(_sleep())  # the loop that the site's gate belongs to
        site = _Site(ledger)
        sides = [lambda: runner.run(site.shown()), lambda: runner.run(site.taken())]
        alternately(sides, 1)
        shown, taken = alternately(sides, sizes.rounds * 2)
        name = f"an answer with {_DOCUMENTS} documents, from its arrival to its event"
        yield Row(name=name, value=max(shown), unit="ms CPU, the slowest", target=_TARGET_MS)
        yield compared(f"{name}, against taking it alone", "ms CPU", shown, taken)
        token = site.requests.all_of(_ADA, site.clock.now())[0].token
        runner.run(_until(site, token))
        started = time.process_time()
        for _ in range(sizes.requests):
            site.page(token)
        taken_ms = (time.process_time() - started) / sizes.requests * 1e3
        name = f"the list of {_PEERS} organizations with {_PEERS * _DOCUMENTS} documents"
        yield Row(name=name, value=taken_ms, unit="ms CPU", target=_TARGET_MS)


async def _sleep() -> None:
    await asyncio.sleep(0)


async def _until(site: _Site, token: str) -> None:
    """Wait until a search is over."""
    while site.requests.of(_ADA, token, site.clock.now()).progress is Progress.ASKING:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
