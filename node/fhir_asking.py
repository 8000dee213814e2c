"""Assembles our side as a FHIR client of an opened node home."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from node.errors import OurFault, SettingsError, TheirFault
from node.exchange.fhir_peer_ports import FhirEndpoint
from node.exchange.ports import Ledger, PeerEntry
from node.fhir_trust import FhirTrust, LiveSigner
from node.identity import FhirClient
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.model import HomeCommunityId, Principal
from node.opened import OpenedHome
from node.peer_pool import PeerPool, peer_pool
from node.peers.pool import Judge
from node.peers.server_trust import not_bound
from node.peers.udap.answers import AccessToken
from node.peers.udap.calls import AuthorizationCalls
from node.peers.udap.client import UdapClient
from node.peers.udap.discovery import Found
from node.peers.udap.individual import ias_object
from node.peers.udap.log import ClientLog
from node.peers.udap.own import FhirServerAt, OwnSide, own_uri
from node.peers.udap.registrations import Registration, RegistrationStore
from node.peers.udap.statements import OwnClient, b2b_object
from node.policy.decide import OutboundFacts, PartyFacts, decide_outbound
from node.policy.purposes import purpose_register
from node.policy.scopes import wanted_scopes
from node.shown_certificates import Seen
from trust.signer import KeySigner
from trust.tls import PeerCertificates
from trust.udap.b2b import KEY as B2B
from trust.udap.ias import KEY as IAS


class FhirAsking:
    """Registers at peers' FHIR servers and gets tokens there, by the peers' directory entries.

    Implements ``node.peers.fhir_client.FhirAccess``.
    """

    def __init__(self, opened: OpenedHome, client: UdapClient, pool: PeerPool) -> None:
        """``pool`` has the connections, and judges the servers at their ends."""
        self._opened = opened
        self._client = client
        self.pool = pool

    def server_of(self, name: str) -> FhirServerAt:
        """The FHIR server of an organisation, by its home community id or directory id.

        Raises:
            TheirFault: ``fhir-endpoint-missing``.
        """
        peers = self._opened.peers
        entry = peers.by_home_community_id(HomeCommunityId(name)) or peers.by_organization_id(name)
        if entry is None:
            raise _no_server()
        return self.server(entry)

    def server(self, entry: PeerEntry) -> FhirServerAt:
        """The FHIR server of an entry. Raises ``TheirFault`` (``fhir-endpoint-missing``)."""
        endpoint = self.endpoint(entry)
        if endpoint is None:
            raise _no_server()
        return FhirServerAt(
            entry=entry,
            base_url=endpoint.base_url,
            trust=self._opened.peers.organization_trust(entry),
            judge=self._judge(entry),
        )

    def endpoint(self, entry: PeerEntry) -> FhirEndpoint | None:
        """Where an entry's FHIR server is, or ``None``."""
        return self._opened.peers.fhir_endpoint(entry)

    def communities(self) -> Sequence[PeerEntry]:
        """All active entries with a FHIR server, ourselves left out."""
        return self._opened.peers.fhir_communities()

    async def access(self, entry: PeerEntry, principal: Principal) -> AccessToken:
        """A token for all that a broker asks. Raises ``NodeError``, ``TrustError``."""
        server = self._permitted(self.server(entry), principal.purpose.code)
        found = await self._client.discovery.discover(server)
        scope = wanted_scopes(found.metadata.plain.scopes)
        return await self._client.token(
            server, principal.purpose.code, scope, _extensions(principal)
        )

    def refused(self, token: AccessToken) -> None:
        """The server does not take a token any more: the next one is asked for."""
        self._client.forget(token)

    def _judge(self, entry: PeerEntry) -> Judge:
        peer = entry.fhir_peer(None)

        def accept(certificates: PeerCertificates, _key: str) -> None:
            verdict = self.pool.judge_server(peer, certificates)
            if not verdict.ok:
                raise not_bound(verdict)

        return accept

    async def discover(self, name: str, community: str | None = None) -> Found:
        """A peer's metadata. Raises ``NodeError``, ``TrustError``."""
        return await self._client.discovery.discover(self.server_of(name), community)

    async def register(
        self, name: str, purpose: str, scope: Sequence[str], *, again: bool = False
    ) -> Registration:
        """Our registration at a peer. Raises ``NodeError``, ``TrustError``."""
        server = self._permitted(self.server_of(name), purpose)
        return await self._client.registrar.register(server, purpose, scope, again=again)

    async def cancel(self, name: str, purpose: str) -> bool:
        """End our registration at a peer. Raises ``NodeError``, ``TrustError``."""
        return await self._client.registrar.cancel(self.server_of(name), purpose)

    async def token(self, name: str, principal: Principal, scope: Sequence[str]) -> AccessToken:
        """A token for a principal and its purpose. Raises ``NodeError``, ``TrustError``."""
        server = self._permitted(self.server_of(name), principal.purpose.code)
        return await self._client.token(
            server, principal.purpose.code, scope, _extensions(principal)
        )

    def _permitted(self, server: FhirServerAt, purpose: str) -> FhirServerAt:
        """The server, where policy lets us ask it (QTF-603)."""
        peers, register = self._opened.peers, purpose_register()
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


def _extensions(principal: Principal) -> dict[str, dict[str, Any]]:
    """The extension objects of a token request: who asks, and for an individual the proof."""
    found = {B2B: b2b_object(principal, purpose_register())}
    if principal.id_token is not None:
        found[IAS] = ias_object(principal.id_token, principal.purpose.code)
    return found


def _no_server() -> TheirFault:
    return TheirFault(
        "fhir-endpoint-missing", "The directory has no FHIR endpoint for this organisation."
    )


@asynccontextmanager
async def asking_fhir(
    opened: OpenedHome,
    ledger: Ledger,
    trust: LiveTrust,
    identities: LiveIdentities | None = None,
    *,
    seen: Seen | None = None,
) -> AsyncIterator[FhirAsking]:
    """Open keys and connections; closed when the block ends.

    Args:
        opened: the node home.
        ledger: where registrations and token requests are entered.
        trust: whom we trust, and when that changes.
        identities: tells when our certificate has become another, in a running node.
        seen: told of the certificates that peers' servers show.

    Raises:
        TrustError: when a key or certificate cannot be used.
    """
    home, settings = opened.home, opened.settings
    believed = FhirTrust(home, settings, trust)
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

    async with peer_pool(opened, trust, identities, seen=seen) as pool:
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
        calls = AuthorizationCalls(pool.session)
        yield FhirAsking(opened, UdapClient(own, calls, store, log), pool)
