"""A checked network list as directory entries and pinned keys. Pure.

The entries become Organizations of the source ``network-list``. The QHIN that signed an entry
manages it, whatever the entry says. A QHIN whose part of the list is too old, and an entry that is
not in its time, give an inactive organisation: known, not exchanged with. Purposes that the
network's policy does not have in use count for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from directory.export import export_bundle
from directory.finding import Finding
from directory.model import Contact, Endpoint, Organization, PinUse
from directory.rows import Row, rows_of_bundle
from trust.network_list.entry import Entry, ListedKey
from trust.network_list.listing import NetworkList, QhinPart
from trust.network_list.staleness import Level, part_level, standing

SOURCE = "network-list"
"""The source of entries that the network's authority or a QHIN of it signed."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ListedPin:
    """A key that a signed list ties to an organisation."""

    organization_id: str
    spki: str
    use: PinUse


def listed_organizations(listed: NetworkList, *, now: datetime) -> Iterator[Organization]:
    """The entries as organisations, active only where list, part and entry allow it."""
    in_time = standing(listed, now).allows_exchange
    purposes = frozenset(listed.policy.purposes)
    for part, entry in listed.entries():
        usable = in_time and part_level(part, now) is not Level.REFUSED and entry.active_at(now)
        yield _organization(part, entry, active=usable, purposes=purposes)


def listed_rows(listed: NetworkList, *, now: datetime) -> Iterator[Row | Finding]:
    """The entries as FHIR rows, in the form that every import reads."""
    for organization in listed_organizations(listed, now=now):
        yield from rows_of_bundle(export_bundle(organization), where=organization.id)


def listed_pins(listed: NetworkList, *, now: datetime) -> frozenset[ListedPin]:
    """The keys that count at a moment.

    An organisation all of whose keys are out of their time keeps them all: without any it would
    fall back to being bound by anchor and name, which is weaker; their certificates fail by date.
    """
    found: set[ListedPin] = set()
    for _, entry in listed.entries():
        keys: list[tuple[ListedKey, tuple[PinUse, ...]]] = [
            (key, (PinUse.TLS,)) for key in entry.tls_pins
        ]
        keys += [(key, (PinUse.ASSERTION, PinUse.HOLDER)) for key in entry.saml_signers]
        counting = [item for item in keys if item[0].counts_at(now)] or keys
        found |= {
            ListedPin(organization_id=entry.id, spki=key.spki_sha256, use=use)
            for key, uses in counting
            for use in uses
        }
    return frozenset(found)


def _organization(
    part: QhinPart, entry: Entry, *, active: bool, purposes: frozenset[str]
) -> Organization:
    contact = entry.contact
    own = entry.id == part.organization_id
    return Organization(
        id=entry.id,
        name=entry.name,
        active=active,
        home_community_ids=(entry.home_community_id,) if entry.home_community_id else (),
        assigning_authorities=entry.assigning_authorities,
        npis=entry.npis,
        type=entry.type,
        part_of=entry.part_of or (None if own else part.organization_id),
        managing_organization=part.organization_id,
        initiates=_in_use(entry.initiates, purposes),
        contacts=(
            Contact(
                purpose="ADMIN",
                name=contact.name,
                phones=(contact.phone,) if contact.phone else (),
                emails=(contact.email,) if contact.email else (),
            ),
        )
        if contact
        else (),
        endpoints=tuple(_endpoints(entry, purposes)),
    )


def _endpoints(entry: Entry, purposes: frozenset[str]) -> Iterator[Endpoint]:
    for endpoint in entry.endpoints:
        # One that names no purpose answers any; where the network names some, it answers those.
        responds = _in_use(endpoint.responds, purposes) if endpoint.responds else purposes
        if endpoint.responds and not responds:
            continue
        yield Endpoint(
            id=endpoint.kind.lower(),
            address=endpoint.url,
            transactions=frozenset({endpoint.kind}),
            responds=responds,
            status="active",
        )


def _in_use(codes: Iterable[str], purposes: frozenset[str]) -> frozenset[str]:
    """What an entry claims, as far as the network has it in use; all where it says nothing."""
    given = frozenset(codes)
    return given & purposes if purposes else given
