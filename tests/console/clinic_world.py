"""A console whose clinicians ask simulated peers, each held until a test lets it go on."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import requests

from node.console.clinic.searching import Network
from node.errors import NetworkFault
from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_legs import FhirLegs
from node.exchange.initiate import Initiator
from node.exchange.leg_runner import LegRunner, Patience
from node.exchange.legs import Legs
from node.exchange.ports import PeerEntry
from node.ledger.ledger import ExchangeLedger
from node.model import (
    Address,
    Demographics,
    HomeCommunityId,
    Interaction,
    PersonName,
    Telecom,
    Transaction,
)
from node.opened import OpenedHome
from node.policy.purposes import purpose_register
from tests.console.conftest import Browser, Site, made_site
from tests.sim.fhir_peers import SimFhirPeers, SimFhirServer
from tests.sim.network import PURPOSE, SimDirectory, SimPeer, SimPeers, entry, hcid

WHOM = Demographics(
    names=(PersonName(family="Sample", given=("Juniper",)),),
    birth_date="19610302",
    sex="F",
    addresses=(Address(postal_code="00501"),),
)
FORM = {"name": "Juniper Sample", "born": "1961-03-02", "sex": "F", "zip": "00501", "number": ""}
THERE = replace(
    WHOM,
    addresses=(Address(lines=("14 Specimen Row",), city="Holtsville", state="NY",
                       postal_code="00501"),),
    telecoms=(Telecom(value="tel:+1-555-0100"),),
)  # fmt: skip
SOMEBODY = replace(
    THERE,
    names=(PersonName(family="Sampel", given=("June",)),),
    birth_date="19610312",
    addresses=(Address(lines=("9 Placeholder Ct",), city="Albany", state="NY",
                       postal_code="12201"),),
)  # fmt: skip
NAMES = {
    1: "Tamsin Vale Hospital",
    2: "Ostravane Regional",
    3: "Larkhollow HIE",
    4: "Ironbeck Cardiology",
    5: "Mossgarth Children's",
    6: "Farrowmere County HIE",
    7: "Northmere Care Network",
    8: "Ravensholt Care",
}


class HeldPeers(SimPeers):
    """Peers that answer when they are let go; ``held`` is shared with the test's thread."""

    def __init__(self, *peers: SimPeer) -> None:
        super().__init__(*peers)
        self.held: set[HomeCommunityId] = set()

    async def _behave(self, t, peer, call, trace) -> SimPeer:
        try:
            while peer.home_community_id in self.held:  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.004)
        except asyncio.CancelledError:
            self.cancelled.append(peer.home_community_id)
            raise
        return await super()._behave(t, peer, call, trace)


@dataclass
class ClinicSite(Site):
    """The console with its peers."""

    peers: HeldPeers = field(default_factory=HeldPeers)
    directory: SimDirectory = field(default_factory=SimDirectory)
    servers: SimFhirPeers = field(default_factory=SimFhirPeers)

    def ask(self, browser: Browser, **changes: str) -> str:
        """Search; the path of the request's page."""
        answer = browser.post("/records", {"form": browser.form("/records"), **FORM, **changes})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def hold(self, *numbers: int) -> None:
        self.peers.held |= {hcid(number) for number in numbers}

    def let_go(self, *numbers: int) -> None:
        self.peers.held -= {hcid(number) for number in numbers or range(100)}


def until(said: Callable[[], object]) -> None:
    """Wait for what happens in the console's own thread."""
    end = time.monotonic() + 20
    while not said():
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(browser: Browser, path: str) -> str:
    """The page of a request once its search is over."""
    until(lambda: "Stop waiting" not in browser.get(path).text)
    return browser.get(path).text


class Following:
    """The events of a request as a browser gets them."""

    def __init__(self, browser: Browser, path: str) -> None:
        self.answer = browser.get(f"{path}/stream", stream=True)
        self.events: list[tuple[str, dict]] = []
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        name = ""
        try:
            for line in self.answer.iter_lines(chunk_size=1, decode_unicode=True):
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.events.append((name, json.loads(line.removeprefix("data: "))))
        except (requests.RequestException, AttributeError):
            pass  # closed by the test
        self.over.set()

    def html(self, number: int) -> str:
        """What the line of an organization says now."""
        found = [e for name, e in self.events if name == "slot" and e["number"] == number]
        return found[-1]["html"] if found else ""

    def head(self) -> dict:
        return next((e for name, e in reversed(self.events) if name == "head"), {})


def world_peers() -> tuple[SimPeer, ...]:
    """One of each kind: found, found but check, none held, declined, broken, slow."""

    def broken() -> NetworkFault:
        return NetworkFault("connect-failed", "No connection could be made.")

    many = {f"d{n}": b"x" * n for n in range(1, 7)}
    return (
        SimPeer(number=1, documents=many, says=THERE),
        SimPeer(number=2, documents={"a": b"1", "b": b"22"}, says=THERE),
        SimPeer(number=3, documents={"p": b"1", "q": b"22", "r": b"3"}, says=SOMEBODY),
        SimPeer(number=4, knows=False),
        SimPeer(number=5, declines=True),
        SimPeer(number=6, discovery_fault=broken),
        SimPeer(number=7, documents={"z": b"1"}, says=THERE),
        SimPeer(number=8, knows=False),
    )


@contextmanager
def clinic_site(
    folder: Path,
    *peers: SimPeer,
    fhir: tuple[SimFhirServer, ...] = (),
    seconds: float = 20.0,
    search_seconds: float = 60.0,
    settings: str = "",
) -> Iterator[ClinicSite]:
    """Serve it; ``seconds`` is how long a peer is waited for."""
    network_peers = HeldPeers(*peers)
    directory = SimDirectory(*(named(each.number) for each in peers))
    servers = SimFhirPeers(*fhir)

    def network(opened: OpenedHome, ledger: ExchangeLedger) -> Network:
        runner = LegRunner(
            own=HomeCommunityId("urn:oid:2.999.71"),
            own_initiates=lambda: frozenset([PURPOSE.code]),
            ledger=ledger,
            directory=directory,
            clock=opened.clock,
            purposes=purpose_register(),
            patience=Patience(
                seconds=dict.fromkeys([*Transaction, *Interaction], seconds),
                attempts=dict.fromkeys([*Transaction, *Interaction], 1),
            ),
        )
        initiator = Initiator(
            legs=Legs(runner=runner, peers=network_peers),
            directory=directory,
            clock=opened.clock,
            date_range_purposes=frozenset(),
        )
        broker = FhirBroker(
            legs=FhirLegs(runner=runner, peers=servers),
            peers=servers,
            initiator=initiator,
            directory=directory,
            clock=opened.clock,
        )
        return Network(
            initiator=initiator, broker=broker, clock=opened.clock, seconds=search_seconds
        )

    with made_site(folder, settings, network) as site:
        try:
            yield ClinicSite(
                base=site.base,
                opened=site.opened,
                ledger=site.ledger,
                served=site.served,
                peers=network_peers,
                directory=directory,
                servers=servers,
            )
        finally:
            network_peers.held.clear()


def named(number: int) -> PeerEntry:
    return entry(number, name=NAMES.get(number, f"Peer {number}"))
