"""Assembles our side as a FHIR client of an opened node home."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from node.errors import OurFault, SettingsError, TheirFault
from node.exchange.ports import Ledger, PeerEntry
from node.fhir_trust import FhirTrust, LiveSigner
from node.identity import FhirClient, Role, binder_of, tls_identity
from node.live_trust import LiveTrust
from node.model import HomeCommunityId, Peer, Principal
from node.opened import OpenedHome
from node.peers.pool import Judge, open_pool
from node.peers.server_trust import bound_server, not_bound
from node.peers.udap.answers import AccessToken
from node.peers.udap.calls import AuthorizationCalls
from node.peers.udap.client import UdapClient
from node.peers.udap.discovery import Found
from node.peers.udap.log import ClientLog
from node.peers.udap.own import FhirServerAt, OwnSide, own_uri
from node.peers.udap.registrations import Registration, RegistrationStore
from node.peers.udap.statements import OwnClient, b2b_object
from node.policy.decide import OutboundFacts, PartyFacts, decide_outbound
from node.policy.purposes import purpose_register
from trust.binding import OrganizationTrust
from trust.signer import KeySigner
from trust.tls import PeerCertificates, client_context
from trust.udap.b2b import KEY as B2B
from trust.usages import Usage


class FhirAsking:
    """Registers at peers' FHIR servers and gets tokens there, by the peers' directory entries."""

    def __init__(
        self,
        opened: OpenedHome,
        client: UdapClient,
        judge: Callable[[PeerEntry, OrganizationTrust], Judge],
    ) -> None:
        """``judge`` says who judges the connections to a peer's server."""
        self._opened = opened
        self._client = client
        self._judge = judge

    def server_of(self, name: str) -> FhirServerAt:
        """The FHIR server of an organisation, by its home community id or directory id.

        Raises:
            TheirFault: ``fhir-endpoint-missing``.
        """
        peers = self._opened.peers
        entry = peers.by_home_community_id(HomeCommunityId(name)) or peers.by_organization_id(name)
        endpoint = peers.fhir_endpoint(entry) if entry else None
        if entry is None or endpoint is None:
            raise TheirFault(
                "fhir-endpoint-missing", "The directory has no FHIR endpoint for this organisation."
            )
        trust = peers.organization_trust(entry)
        return FhirServerAt(
            entry=entry,
            base_url=endpoint.base_url,
            trust=trust,
            judge=self._judge(entry, trust),
        )

    async def discover(self, name: str, community: str | None = None) -> Found:
        """A peer's metadata. Raises ``NodeError``, ``TrustError``."""
        return await self._client.discovery.discover(self.server_of(name), community)

    async def register(
        self, name: str, purpose: str, scope: Sequence[str], *, again: bool = False
    ) -> Registration:
        """Our registration at a peer. Raises ``NodeError``, ``TrustError``."""
        server = self._permitted(name, purpose)
        return await self._client.registrar.register(server, purpose, scope, again=again)

    async def cancel(self, name: str, purpose: str) -> bool:
        """End our registration at a peer. Raises ``NodeError``, ``TrustError``."""
        return await self._client.registrar.cancel(self.server_of(name), purpose)

    async def token(self, name: str, principal: Principal, scope: Sequence[str]) -> AccessToken:
        """A token for a principal and its purpose. Raises ``NodeError``, ``TrustError``."""
        server = self._permitted(name, principal.purpose.code)
        extensions = {B2B: b2b_object(principal, purpose_register())}
        return await self._client.token(server, principal.purpose.code, scope, extensions)

    def _permitted(self, name: str, purpose: str) -> FhirServerAt:
        """The server, where policy lets us ask it (QTF-603)."""
        server, peers, register = self.server_of(name), self._opened.peers, purpose_register()
        known = register.by_code(purpose)
        if known is None:
            raise SettingsError("settings-invalid", "The purpose is not one of those in force.")
        endpoint = peers.fhir_endpoint(server.entry)
        decision = decide_outbound(
            OutboundFacts(
                purpose=known.code,
                own_initiates=peers.own_initiates(),
                peer=PartyFacts(
                    active=server.entry.active,
                    suspended=server.entry.suspended,
                    initiates=server.entry.initiates,
                    responds=endpoint.responds if endpoint else frozenset(),
                    unsigned_refused=server.entry.unsigned_refused,
                ),
            ),
            register,
        )
        if not decision.permitted:
            raise OurFault(
                "fhir-not-permitted", decision.sentence or "It is refused.", detail=decision.reason
            )
        return server


@asynccontextmanager
async def asking_fhir(
    opened: OpenedHome, ledger: Ledger, trust: LiveTrust
) -> AsyncIterator[FhirAsking]:
    """Open keys and connections; closed when the block ends.

    Raises:
        TrustError: when a key or certificate cannot be used.
    """
    home, settings = opened.home, opened.settings
    believed = FhirTrust(home, settings, trust)
    binder = binder_of(home, settings, trust.view.anchors, trust.revocations, lambda: trust.trusted)
    trust.hold(lambda view: lambda: binder.use(view.anchors))
    signers: dict[str, LiveSigner] = {}

    def signer(purpose: str) -> KeySigner:
        live = signers.setdefault(purpose, LiveSigner(home, settings, FhirClient(purpose)))
        return live()

    def client(purpose: str, with_: KeySigner) -> OwnClient:
        if not settings.fhir.contact:
            raise SettingsError("fhir-not-set", "fhir.contact is not set in node.toml.")
        return OwnClient(
            uri=own_uri(with_, purpose),
            name=settings.node.name,
            contact=settings.fhir.contact,
            purpose=purpose,
            home_community_id=opened.home_community_id,
        )

    def judge(entry: PeerEntry, organization: OrganizationTrust) -> Judge:
        bound = bound_server(lambda _peer: organization, binder, opened.clock.now)
        peer = Peer(
            organization_id=entry.organization_id,
            home_community_id=entry.home_community_id,
            name=entry.name,
        )

        def accept(certificates: PeerCertificates, _key: str) -> None:
            verdict = bound(peer, certificates)
            if not verdict.ok:
                raise not_bound(verdict)

        return accept

    context = client_context(
        tls_identity(home, settings, Role.CLIENT), trust.view.certificates(Usage.TLS_SERVER)
    )
    async with open_pool(context) as session:
        own = OwnSide(
            client=client,
            signer=signer,
            knowledge=believed.knowledge,
            only_listed=believed.only_listed,
            allow_unpinned=settings.trust.allow_unpinned_peers,
            clock=opened.clock,
        )
        log = ClientLog(
            own=opened.home_community_id,
            ledger=ledger,
            directory=opened.peers,
            clock=opened.clock,
        )
        store = RegistrationStore(opened.engine)
        yield FhirAsking(opened, UdapClient(own, AuthorizationCalls(session), store, log), judge)
