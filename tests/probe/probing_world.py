"""A prober with real sockets, trust and wire code over a ledger and a directory in memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from bad_peers import regional_root
from sim.network import SimDirectory, SimLedger
from soap_world import OUR_HCID, SNOMED, THEIR_HCID, TREATMENT, TestClock
from tls_network import NodeIdentity, network_ca

from node.exchange.initiate import Initiator
from node.exchange.leg_runner import LegRunner, Patience
from node.exchange.legs import Legs
from node.exchange.ports import PeerEntry
from node.model import Code, Peer, Principal, Transaction
from node.peers.answer import AnswerLimits
from node.peers.assertion import AssertionIssuer
from node.peers.pool import PoolLimits, open_pool
from node.peers.server_trust import bound_server
from node.peers.soap_client import Caller, SoapPeers
from node.policy.purposes import purpose_register
from node.probe import sockets
from node.probe.asking import InitiatingMessenger, NotingPeers
from node.probe.layers import ProbeReport
from node.probe.sockets import SocketNetwork
from node.probe.target import target_of
from node.probe.trusting import AnchoredTrust
from node.probe.walk import Prober
from tests.anchors import anchor_of
from trust.binder import Binder
from trust.binding import OrganizationTrust
from trust.bound_chain import Revocations
from trust.chain import Strength
from trust.tls_observer import ClientIdentity

ASKER = Principal(
    subject_id="System",
    user_id="system@them.example",
    organization="Them Clinic",
    organization_id="them",
    home_community_id=THEIR_HCID,
    role=Code(code="112247003", scheme=SNOMED, display="Medical doctor"),
    purpose=purpose_register().purposes["T-TRTMNT"].code,
)


@dataclass
class Probes:
    """Probes the one peer of its directory."""

    prober: Prober
    directory: SimDirectory
    ledger: SimLedger

    async def probe(
        self, address: str, transaction: Transaction = Transaction.ITI_55, **changes
    ) -> ProbeReport:
        entry = replace(peer_entry(address), **changes)
        self.directory.entries[:] = [entry]
        target = target_of(
            entry, transaction, ASKER, own_initiates=TREATMENT, register=purpose_register()
        )
        return await self.prober.probe(target)


def peer_entry(address: str) -> PeerEntry:
    return PeerEntry(
        organization_id="us",
        home_community_id=OUR_HCID,
        name="Us Clinic",
        active=True,
        initiates=TREATMENT,
        responds=dict.fromkeys(Transaction, TREATMENT),
        addresses=dict.fromkeys(Transaction, address),
    )


@contextlib.asynccontextmanager
async def probing(
    them: NodeIdentity,
    *,
    patience: sockets.Patience | None = None,
    seconds: float = 2.0,
    pins: frozenset[str] = frozenset(),
    revocations: Revocations | None = None,
) -> AsyncIterator[Probes]:
    clock, ledger, directory = TestClock(), SimLedger(), SimDirectory()
    anchors = (network_ca().certificate, regional_root()[1])
    binder = Binder(map(anchor_of, anchors), allow_unpinned=True, revocations=revocations)
    trust = OrganizationTrust(organization_id="us", pins=pins, host_names=frozenset({"localhost"}))

    def trust_of(_peer: Peer | PeerEntry) -> OrganizationTrust:
        return trust

    async with open_pool(them.client, limits=PoolLimits(connect=30)) as session:
        noting = NotingPeers(
            SoapPeers(
                session=session,
                issuer=AssertionIssuer(signer=them.signer),
                own=Caller(home_community_id=THEIR_HCID),
                clock=clock,
                judge_server=bound_server(trust_of, binder, clock.now),
                limits=AnswerLimits(
                    soap_bytes=1 << 18, document_bytes=1 << 18, total_bytes=1 << 18, parts=16
                ),
            )
        )
        legs = Legs(
            runner=LegRunner(
                own=THEIR_HCID,
                own_initiates=lambda: TREATMENT,
                ledger=ledger,
                directory=directory,
                clock=clock,
                purposes=purpose_register(),
                patience=Patience(pause=0.01),
            ),
            peers=noting,
        )
        initiator = Initiator(
            legs=legs, directory=directory, clock=clock, date_range_purposes=TREATMENT
        )
        yield Probes(
            prober=Prober(
                network=SocketNetwork(
                    ClientIdentity(key=them.key, chain=(them.certificate,)),
                    patience or sockets.Patience(connect=30, handshake=30),
                ),
                trust=AnchoredTrust(anchors, binder, trust_of, clock.now, Strength.WARN),
                messenger=InitiatingMessenger(
                    initiator,
                    noting,
                    clock,
                    qhin_of=lambda entry: entry.name,
                    seconds=seconds,
                    answer_bytes=1 << 18,
                ),
                clock=clock,
                own_until=them.certificate.not_valid_after_utc,
            ),
            directory=directory,
            ledger=ledger,
        )
