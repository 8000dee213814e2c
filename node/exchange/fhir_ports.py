"""What the FHIR side needs of the world: whose token it is, and the resources that we hold.

Whoever issues tokens implements ``Grants``; the health system's resources are ``FhirRecords``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from node.exchange.ports import PeerEntry
from node.model import Code, Demographics, PatientId, Principal
from node.policy.opt_out import OptOuts
from node.policy.scopes import Scope
from node.wire.fhir.catalogue import ResourceType
from node.wire.fhir.query import Criterion, SearchQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a bearer token allows, as it stands now.

    Attributes:
        client_id: the client that it was issued to.
        entry: the directory entry of the client's organisation, as of now.
        purpose: the exchange purpose that the token was issued for.
        scopes: SMART scopes as granted.
        patient: id of the one Patient of ours that the token is bound to, or ``None``.
        principal: who asks, where the token is that of one of our own users or systems: only such
            a token may ask the network. ``None`` for the clients of peers.
        rights: what the roles behind ``principal`` allow at the node (``users/data/roles.toml``).
        token: SHA-256 of the token; who reads a log can use none.
        entry_id: the ledger entry of its issue, where there is one.
    """

    client_id: str
    entry: PeerEntry
    purpose: Code
    scopes: tuple[Scope, ...]
    patient: str | None = None
    principal: Principal | None = None
    rights: frozenset[str] = frozenset()
    token: bytes
    entry_id: str | None = None


class Grants(Protocol):
    """The tokens that were issued."""

    async def grant(self, token: str) -> Grant | None:
        """What a token allows; ``None`` when it is unknown, expired or taken back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What somebody may see of the resources.

    Attributes:
        scopes: the types that may be seen; of each, sets of criteria of which one must hold, or
            none where every resource of the type may be seen.
        patient: the one patient who may be seen, ``None`` for all.
        opt_outs: patients who asked not to share.
    """

    scopes: Mapping[str, tuple[tuple[Criterion, ...], ...]]
    patient: str | None = None
    opt_outs: OptOuts = field(default_factory=OptOuts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page ended: its last match's sort value and place in the order of arrival.

    ``part``: how many of what is next there were given already, where one place has several.
    ``further`` is the mark of a source that has one of its own for the next page.
    """

    value: int | None = None
    key: int = 0
    part: int = 0
    further: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldResource:
    """A resource that may be shown.

    Attributes:
        data: its bytes; of a document's Binary all but the data.
        patient: the one Patient it is about, or ``None``.
        updated: milliseconds since 1970, where it is known.
        document: SHA-256 (hex) of the document that a Binary stands for.
        size: of that document, bytes.
        spool: where the document waits, of a source that has to fetch it.
    """

    type: str
    id: str
    data: bytes
    patient: str | None
    updated: int | None
    version: str
    document: str | None = None
    size: int = 0
    spool: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """A page of a search.

    Attributes:
        matches: in order.
        included: what was asked along, each once.
        following: where the next page begins, ``None`` after the last.
        total: how many match in all, ``None`` where it was not counted or there are too many.
        is_cut: whether more was to be included than the limit allows.
        doubts: whether the source said that it left something out or did not understand all.
    """

    matches: tuple[HeldResource, ...] = ()
    included: tuple[HeldResource, ...] = ()
    following: Cursor | None = None
    total: int | None = None
    is_cut: bool = False
    doubts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedPatient:
    """A Patient and how well it matches: ``score`` from 0 to 100, its grade in FHIR's words."""

    patient: HeldResource
    score: int
    grade: str


class FhirRecords(Protocol):
    """The resources that are held. Nothing is given that the view does not allow.

    A source that asks another server raises ``FhirProblem`` (``fhir-upstream-...``) from all.
    """

    async def offer(self) -> Mapping[str, ResourceType]:
        """The types that it has, each with what it can be searched by."""
        ...

    async def read(self, type_: str, id_: str, view: View) -> HeldResource | None:
        """One resource, or ``None``."""
        ...

    async def binary(self, id_: str, view: View, *, as_resource: bool) -> HeldResource | None:
        """A Binary, to be sent as a resource or as what it holds, or ``None``."""
        ...

    async def search(self, query: SearchQuery, view: View, after: Cursor | None) -> FoundPage:
        """One page of a search. Raises ``FhirProblem`` (``fhir-too-slow``) past the time limit."""
        ...

    async def count(self, query: SearchQuery, view: View) -> int:
        """How many resources match. Raises as ``search``."""
        ...

    async def match(
        self, demographics: Demographics, view: View, *, only_certain: bool, limit: int
    ) -> Sequence[MatchedPatient]:
        """Patients with these demographics, best first."""
        ...

    async def persons(self, patients: frozenset[str]) -> Sequence[PatientId]:
        """Our identifiers of Patients, for the ledger."""
        ...

    def document(self, held: HeldResource) -> AsyncIterator[bytes]:
        """The bytes, in chunks, of the document that a Binary stands for."""
        ...
