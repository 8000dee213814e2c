"""The directory as the use cases and the authentication see it: entries of peers, and their trust.

An adapter over ``directory.view``; it decides nothing. Our own entry is never a peer. What it makes
of an entry is kept for as long as the view gives that same entry, and what it makes of several for
as long as the view stays at one version: a pin or a suspension is seen as soon as the view sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from directory.listed import SOURCE as SIGNED
from directory.model import Organization, endpoint_hosts
from directory.view import DirectoryView
from node.exchange.fhir_peer_ports import FhirEndpoint
from node.exchange.ports import PeerEntry
from node.model import HomeCommunityId, Transaction
from trust.binding import OrganizationTrust

FHIR = "FHIR"
"""The transaction of a FHIR endpoint in the directory."""

_MAX_DEPTH = 32
_MAX_KEPT = 20_000

T = TypeVar("T")


class _Kept(Generic[T]):
    """What was made of each organisation object that the view gave; bounded.

    ``state`` says what else it was made of. The object is kept as well, so that its identity cannot
    pass to another one.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[Organization, str, T]] = {}

    def get(self, organization: Organization, state: str = "") -> T | None:
        found = self._made.get(id(organization))
        return found[2] if found is not None and found[1] == state else None

    def keep(self, organization: Organization, made: T, state: str = "") -> T:
        if len(self._made) >= _MAX_KEPT:
            self._made.clear()
        self._made[id(organization)] = organization, state, made
        return made


class PeerDirectory:
    """Implements ``exchange.ports.DirectoryView`` and ``gateway.authentication.TrustFacts``."""

    def __init__(
        self, view: DirectoryView, own_organization_id: str, *, allow_unsigned: bool = True
    ) -> None:
        """``own_organization_id`` is the id of our own entry.

        ``allow_unsigned`` is whether entries that no signed network list brought may be talked to.
        """
        self._view = view
        self._own = own_organization_id
        self._allow_unsigned = allow_unsigned
        self._entries: _Kept[PeerEntry] = _Kept()
        self._trust: _Kept[OrganizationTrust] = _Kept()
        self._responds: _Kept[frozenset[str]] = _Kept()

    @property
    def version(self) -> str:
        """Names the state of the directory."""
        return self._view.version

    def by_home_community_id(self, hcid: HomeCommunityId) -> PeerEntry | None:
        """The entry with an HCID, the best one where the directory has several."""
        found = self._view.by_home_community_id(hcid)
        return self._entry(found) if found else None

    def by_organization_id(self, organization_id: str) -> PeerEntry | None:
        """The entry with a directory id."""
        found = self._view.by_id(organization_id)
        return self._entry(found) if found else None

    def responders(self, transaction: Transaction) -> Sequence[PeerEntry]:
        """All that answer a transaction and have an HCID to be asked by."""
        return [
            self._entry(organization)
            for organization in self._view.responders(transaction.value)
            if organization.id != self._own and organization.home_community_id
        ]

    def _entry(self, organization: Organization) -> PeerEntry:
        found = self._entries.get(organization)
        if found is not None:
            return found
        entry = peer_entry(organization)
        if not self._allow_unsigned and organization.source != SIGNED:
            entry = replace(entry, unsigned_refused=True)
        return self._entries.keep(organization, entry)

    def fhir_endpoint(self, entry: PeerEntry) -> FhirEndpoint | None:
        """Where an entry's FHIR server is, or ``None``."""
        organization = self._view.by_id(entry.organization_id)
        endpoint = organization.endpoint_for(FHIR) if organization else None
        if endpoint is None or not endpoint.address:
            return None
        return FhirEndpoint(base_url=endpoint.address.rstrip("/"), responds=endpoint.responds)

    def fhir_communities(self) -> Sequence[PeerEntry]:
        """All that have a FHIR server and an HCID to be asked by."""
        return [
            self._entry(organization)
            for organization in self._view.responders(FHIR)
            if organization.id != self._own and organization.home_community_id
        ]

    def own_initiates(self) -> frozenset[str]:
        """The purposes that our own entry lists; none while the directory does not have us."""
        own = self._view.by_id(self._own)
        return own.initiates if own else frozenset()

    def own_responds(self) -> frozenset[str]:
        """The purposes that our own entry answers for, over all its endpoints."""
        own = self._view.by_id(self._own)
        if own is None:
            return frozenset()
        kept = self._responds.get(own)
        if kept is not None:
            return kept
        return self._responds.keep(own, frozenset().union(*(e.responds for e in own.endpoints)))

    def lies_under(self, organization_id: str, ancestor_id: str) -> bool:
        """Whether an entry is another one or is below it by ``partOf``."""
        current: str | None = organization_id
        for _ in range(_MAX_DEPTH):
            if current == ancestor_id:
                return True
            entry = self._view.by_id(current) if current else None
            if entry is None:
                return False
            current = entry.part_of
        return False

    def organization_trust(self, entry: PeerEntry) -> OrganizationTrust:
        """Pins of an entry, the hosts of its endpoints and of its manager's, and who else claims.

        A host that an entry of another manager claims as well binds nothing.
        """
        organization = self._view.by_id(entry.organization_id)
        if organization is None:
            return OrganizationTrust(organization_id=entry.organization_id)
        version = self._view.version
        kept = self._trust.get(organization, version)
        if kept is not None:
            return kept
        made = self._made_trust(organization)
        # what was read while somebody wrote may be of either state: hand it out, do not keep it
        if self._view.version == version:
            self._trust.keep(organization, made, version)
        return made

    def _made_trust(self, organization: Organization) -> OrganizationTrust:
        manager = self._view.managing_organization(organization)
        own_hosts = endpoint_hosts(organization)
        manager_hosts = endpoint_hosts(manager) if manager else frozenset()
        return OrganizationTrust(
            organization_id=organization.id,
            pins=frozenset(pin.spki for pin in self._view.pins(organization.id)),
            host_names=own_hosts,
            manager_host_names=manager_hosts,
            contested_host_names=frozenset(
                host
                for host in own_hosts | manager_hosts
                if any(
                    self._manager_id(o) != self._manager_id(organization)
                    for o in self._view.by_host(host)
                )
            ),
            listed=organization.source == SIGNED,
        )

    def _manager_id(self, organization: Organization) -> str:
        manager = self._view.managing_organization(organization)
        return manager.id if manager else organization.id


def peer_entry(organization: Organization) -> PeerEntry:
    """An organisation in the shape of the use cases."""
    served = {
        transaction: endpoint
        for transaction in Transaction
        if (endpoint := organization.endpoint_for(transaction.value)) is not None
    }
    return PeerEntry(
        organization_id=organization.id,
        home_community_id=HomeCommunityId(organization.home_community_id or ""),
        name=organization.name,
        active=organization.active,
        suspended=organization.suspended,
        initiates=organization.initiates,
        responds={transaction: endpoint.responds for transaction, endpoint in served.items()},
        addresses={t: endpoint.address or "" for t, endpoint in served.items()},
        managing_organization_id=organization.managing_organization,
        quirks=dict(organization.profile),
    )
