"""Organisations and endpoints as values, whatever community published them.

Forms that hold everywhere in this package:

* a home community id is ``urn:oid:…``, an assigning authority a bare OID, a TEFCAID as published;
* transactions are names such as ``ITI-55``, ``ITI-38``, ``ITI-39``, ``ITI-80``, ``FHIR``;
* purposes are the codes that the entry lists, after the community's mapping;
* an endpoint's ``id`` is unique in its organisation only, where it is ``contained``.

Facts: tefca 7 and 7.0 (purposes on an Organization are what it initiates, on an Endpoint what it
responds to; RCE IG 1.12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from directory.address import host_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A FHIR period; both ends are FHIR dateTime text with their own precision, or ``None``."""

    start: str | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalAddress:
    """One address of an organisation."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whom to call; ``purpose`` is a code such as ``ADMIN``."""

    purpose: str | None = None
    name: str | None = None
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address that answers.

    Attributes:
        id: the resource's id without type or ``#``.
        address: the URL as published, or ``None``.
        transactions: what it serves: as stated, else what its connection type allows.
        responds: purposes it answers.
        connection_type: the code, e.g. ``ihe-xca``.
        status: FHIR endpoint status, e.g. ``active``.
        version: of the specification spoken, e.g. ``4.0.1``.
        roles: role codes.
        period: when it is valid, as published.
        name: a person's label.
        contained: whether it stood inside its organisation.
    """

    id: str
    address: str | None = None
    transactions: frozenset[str] = frozenset()
    responds: frozenset[str] = frozenset()
    connection_type: str | None = None
    status: str | None = None
    version: str | None = None
    roles: tuple[str, ...] = ()
    period: Period | None = None
    name: str | None = None
    contained: bool = True

    @property
    def active(self) -> bool:
        """Whether its status lets anybody use it."""
        return self.status in ("active", None)


AGREEMENT_KEY = "agreement"
"""Use of a published key: X25519, for the secret that two nodes share about their logs."""

LOG_KEY = "log"
"""Use of a published key: it signs the checkpoints of the organisation's exchange log."""

WITNESS_KEY = "witness"
"""Use of a published key: it signs the checkpoints of others' logs as their witness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKey:
    """A public key that an entry shows, for something that certificates do not cover.

    That an entry shows a key makes nobody trust it: an operator accepts it (``log witness add``).

    **Another kind of key** needs a word for ``use`` beside ``LOG_KEY`` and ``WITNESS_KEY``, and who
    puts it into our own entry (``node/published_keys.py``): export, import, the store and the
    signed network list carry any use.

    Attributes:
        use: what it is for.
        value: the key as text; of a log and a witness a C2SP verifier key, whose name is that of
            the log without the year, or of the witness; of an agreement key its 32 bytes in base64.
        address: below which URL whoever holds it answers, where that matters.
    """

    use: str
    value: str
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """One directory entry.

    Attributes:
        id: the directory's id: the only unique key (facts: tefca 7.1).
        active: as published; an entry that does not say is active (FHIR R4).
        home_community_ids: ``urn:oid:…``; the first is the one to use.
        tefca_ids: TEFCAIDs, shared by the nodes of one legal entity.
        assigning_authorities: bare OIDs.
        npis: ten digits each.
        type: the level, e.g. ``QHIN``, ``Participant``, ``Subparticipant``, ``Child``.
        part_of: id of the parent entry.
        managing_organization: id of the QHIN or implementer that manages the entry, where stated.
        initiates: purposes it may ask for.
        initiates_transactions: transactions it initiates, where stated.
        domains: communities it belongs to, e.g. ``RCE``.
        use_cases: use case codes.
        initiator_only: it filed an initiating-node-only attestation.
        node_type: organization-node-type code.
        delegates: ids named by a delegation (Carequality DOA).
        profiles: FHIR profile URLs it claims.
        keys: public keys that it shows, for its log and its witness.
        suspended: local decision; it survives imports.
        profile: local peer profile (``directory/data/profile.toml``); it survives imports.
        source: which import brought it, once it stands in the directory; no part of its value.
    """

    id: str
    name: str
    active: bool = True
    home_community_ids: tuple[str, ...] = ()
    tefca_ids: tuple[str, ...] = ()
    assigning_authorities: tuple[str, ...] = ()
    npis: tuple[str, ...] = ()
    type: str | None = None
    part_of: str | None = None
    managing_organization: str | None = None
    initiates: frozenset[str] = frozenset()
    initiates_transactions: frozenset[str] = frozenset()
    domains: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    initiator_only: bool = False
    node_type: str | None = None
    delegates: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    keys: tuple[PublishedKey, ...] = ()
    addresses: tuple[PostalAddress, ...] = ()
    contacts: tuple[Contact, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    last_updated: str | None = None
    suspended: bool = False
    suspended_reason: str | None = None
    profile: Mapping[str, object] = field(default_factory=dict)
    source: str | None = field(default=None, compare=False)

    @property
    def home_community_id(self) -> str | None:
        """The first home community id, or ``None``."""
        return self.home_community_ids[0] if self.home_community_ids else None

    def endpoint_for(self, transaction: str) -> Endpoint | None:
        """The endpoint to send a transaction to, or ``None``.

        Only active endpoints with a usable https address count; one that serves fewer transactions
        is the more specific answer; the id decides a tie, so that the choice is stable.
        """
        fitting = [
            endpoint
            for endpoint in self.endpoints
            if transaction in endpoint.transactions
            and endpoint.active
            and host_of(endpoint.address)
        ]
        return min(fitting, key=lambda e: (len(e.transactions), e.id), default=None)

    def published(self, use: str) -> tuple[PublishedKey, ...]:
        """The keys that the entry shows for a use."""
        return tuple(key for key in self.keys if key.use == use)

    def responds(self, transaction: str) -> frozenset[str]:
        """Purposes answered for a transaction by the endpoint that serves it."""
        endpoint = self.endpoint_for(transaction)
        return endpoint.responds if endpoint else frozenset()


class PinUse(StrEnum):
    """What a pinned key is used for: TLS, signing assertions, or holding them (the Timestamp)."""

    TLS = "tls"
    ASSERTION = "assertion"
    HOLDER = "holder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A key that an operator, or the signed network list, tied to an organisation.

    ``spki`` is the SHA-256 of the SubjectPublicKeyInfo in lower-case hex; ``pinned_at`` is
    ISO 8601 in UTC; ``listed`` says that it was the list.
    """

    organization_id: str
    spki: str
    use: PinUse
    pinned_at: str
    listed: bool = False


def endpoint_hosts(organization: Organization) -> frozenset[str]:
    """The hosts of an entry's endpoints."""
    return frozenset(host for e in organization.endpoints if (host := host_of(e.address)))
