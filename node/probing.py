"""Assembles the connectivity tests of an opened node home."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from node.exchange.ports import Ledger, PeerEntry, Peers
from node.identity import Role, binder_of, tls_identity
from node.initiating import initiating
from node.ledger.dealings import dealt_with
from node.live_trust import LiveTrust
from node.model import Code, HomeCommunityId, Principal, Transaction
from node.opened import OpenedHome
from node.peers.answer import AnswerLimits
from node.policy.purposes import purpose_register
from node.probe.asking import InitiatingMessenger, NotingPeers
from node.probe.layers import ProbeReport
from node.probe.sockets import Patience, SocketNetwork
from node.probe.target import choose_purpose, target_of
from node.probe.trusting import AnchoredTrust
from node.probe.walk import Prober, ProbeTarget
from trust.chain import Strength
from trust.tls_observer import client_identity
from trust.usages import Usage

_PARTS = 16  # of an answer about nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """What the commands use: whom there is to probe, and the prober."""

    opened: OpenedHome
    prober: Prober

    def entry(self, key: str) -> PeerEntry | None:
        """The entry that an exchange with this id or home community id would go to."""
        found = self.opened.directory.search(key, limit=1).organizations
        entry = self.opened.peers.by_organization_id(found[0].id) if found else None
        if entry is None or not entry.home_community_id:
            return entry
        routed = self.opened.peers.by_home_community_id(HomeCommunityId(entry.home_community_id))
        return routed or entry

    def entries(
        self, source: str | None = None, *, unused_since: datetime | None = None
    ) -> Sequence[PeerEntry]:
        """All active peers that answer discovery, by name.

        Args:
            source: only those of one source of the directory.
            unused_since: only those with whom nothing was exchanged since then.
        """
        answering = self.opened.peers.responders(Transaction.ITI_55)
        chosen = [entry for entry in answering if source in (None, self._source(entry))]
        if unused_since is not None:
            engine = self.opened.engine
            chosen = [
                entry
                for entry in chosen
                if not dealt_with(engine, entry.home_community_id, since=unused_since)
            ]
        return sorted(chosen, key=lambda entry: (entry.name, entry.organization_id))

    def _source(self, entry: PeerEntry) -> str | None:
        organization = self.opened.view.by_id(entry.organization_id)
        return organization.source if organization else None

    def target(self, entry: PeerEntry, transaction: Transaction, purpose: str = "") -> ProbeTarget:
        """An entry with the purpose to ask it for.

        Raises:
            SettingsError: ``purpose-missing``.
        """
        register, own = purpose_register(), self.opened.peers.own_initiates()
        chosen = choose_purpose(
            purpose,
            self.opened.settings.principal.purpose,
            own_initiates=own,
            responds=entry.responds.get(transaction, frozenset()),
            register=register,
        )
        asker = self._asker(chosen)
        return target_of(entry, transaction, asker, own_initiates=own, register=register)

    async def probe(self, target: ProbeTarget) -> ProbeReport:
        """Look at every layer on the way to a peer."""
        return await self.prober.probe(target)

    def _asker(self, purpose: Code) -> Principal:
        settings = self.opened.settings
        own = settings.principal
        return Principal(
            subject_id=own.subject_id,
            user_id=own.user_id,
            organization=settings.node.name,
            organization_id=settings.node.organization_id,
            home_community_id=self.opened.home_community_id,
            role=Code(code=own.role, scheme=own.role_system, display=own.role_display),
            purpose=purpose,
            npi=own.npi or None,
        )


@asynccontextmanager
async def probing(opened: OpenedHome, ledger: Ledger, trust: LiveTrust) -> AsyncIterator[Probing]:
    """Open keys and connections; closed when the block ends. ``trust`` is whom we trust.

    Raises:
        TrustError: when a key, certificate or anchor cannot be used.
    """
    home, settings = opened.home, opened.settings
    limits, identity = settings.probe, client_identity(tls_identity(home, settings, Role.CLIENT))
    noting: list[NotingPeers] = []

    def notice(peers: Peers) -> Peers:
        noting.append(NotingPeers(peers))
        return noting[0]

    answer = AnswerLimits(
        soap_bytes=limits.answer_bytes,
        document_bytes=limits.answer_bytes,
        total_bytes=limits.answer_bytes,
        parts=_PARTS,
    )
    async with initiating(opened, ledger, trust, limits=answer, notice=notice) as initiator:
        yield Probing(
            opened=opened,
            prober=Prober(
                network=SocketNetwork(
                    identity,
                    Patience(
                        name=limits.name_seconds,
                        connect=limits.connect_seconds,
                        handshake=limits.handshake_seconds,
                    ),
                ),
                trust=AnchoredTrust(
                    trust.view.certificates(Usage.TLS_SERVER),
                    binder_of(
                        home, settings, trust.view.anchors, trust.revocations, lambda: trust.trusted
                    ),
                    opened.peers.organization_trust,
                    opened.clock.now,
                    Strength(settings.trust.minimum_strength),
                ),
                messenger=InitiatingMessenger(
                    initiator,
                    noting[0],
                    opened.clock,
                    qhin_of=lambda entry: _qhin_name(opened, entry),
                    seconds=limits.answer_seconds,
                    answer_bytes=limits.answer_bytes,
                ),
                clock=opened.clock,
                own_until=min(each.not_valid_after_utc for each in identity.chain),
            ),
        )


def _qhin_name(opened: OpenedHome, entry: PeerEntry) -> str:
    organization = opened.view.by_id(entry.organization_id)
    manager = opened.view.managing_organization(organization) if organization else None
    return manager.name if manager else entry.name
