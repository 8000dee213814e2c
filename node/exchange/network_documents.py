"""The documents that communities name for a person, as one answer in pages. Pure but for ports.

All that was found is put in one order (newest first), and kept for who asked: the pages of an
answer are of one moment, however long somebody takes to read them. The same document named by
several communities is shown as often as it is named, and says so (``meta.tag``); none is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from node.model import DocumentEntry, DocumentRef, HomeCommunityId, PatientId, Principal
from node.wire.fhir.authored import document_id
from node.wire.fhir.elements import fhir_time
from node.wire.fhir.mhd_reference import network_reference
from node.wire.fhir.peer_results import PeerResult

MOST_DOCUMENTS = 2000
"""Documents of one answer; facts fhir-and-udap 3.4."""


class Snapshots(Protocol):
    """Answers that are paged through."""

    async def keep(self, principal: Principal, content: bytes) -> str:
        """Keep an answer for a while; gives its id."""
        ...

    async def get(self, principal: Principal, id_: str) -> bytes | None:
        """An answer, or ``None`` when unknown, expired or another user's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDocument:
    """A document that a community named for a person."""

    home: HomeCommunityId
    entry: DocumentEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDocument:
    """A DocumentReference as it is shown, and the community it comes from.

    ``full_url`` is its address there, where it is the community's own resource.
    """

    id: str
    home: HomeCommunityId
    resource: str
    date: str = ""
    full_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentAnswer:
    """All that was found, in order, with what a page needs beside it.

    Attributes:
        documents: the newest first.
        results: how each peer's answer ended.
        messages: message ids of communities' answers, for Provenance.
        warnings: further issues.
        patients: whom it is about, for the log.
        link: the self link of the first page.
        count: documents of a page.
        provenance: whether it was asked along.
    """

    documents: tuple[ShownDocument, ...] = ()
    results: tuple[PeerResult, ...] = ()
    messages: dict[str, str] = field(default_factory=dict)
    warnings: tuple[dict[str, Any], ...] = ()
    patients: tuple[PatientId, ...] = ()
    link: str = ""
    count: int
    provenance: bool = False


def distinct(found: Iterable[FoundDocument]) -> list[FoundDocument]:
    """Each document of a community once, with its community in the entry."""
    by_ref: dict[DocumentRef, FoundDocument] = {}
    for each in found:
        home = each.entry.home_community_id or each.home
        entry = replace(each.entry, home_community_id=home)
        by_ref.setdefault(entry.ref, FoundDocument(home=home, entry=entry))
    return list(by_ref.values())


def shown(
    documents: Sequence[FoundDocument], patient: str, link_of: Callable[[DocumentEntry], str]
) -> tuple[ShownDocument, ...]:
    """The DocumentReferences; ``link_of`` gives the address of a document's bytes."""
    named = Counter(_content(each.entry) for each in documents)
    return tuple(
        ShownDocument(
            id=document_id(each.entry),
            home=each.home,
            date=fhir_time(each.entry.creation_time) or "",
            resource=network_reference(
                each.entry,
                home=each.home,
                patient=patient,
                url=link_of(each.entry),
                is_duplicate=named[_content(each.entry)] > 1,
            ).decode(),
        )
        for each in documents
    )


def newest_first(documents: Iterable[ShownDocument]) -> list[ShownDocument]:
    """In the order in which documents are shown."""
    by_name = sorted(documents, key=lambda each: (each.home, each.id))
    return sorted(by_name, key=lambda each: each.date, reverse=True)


def _content(entry: DocumentEntry) -> tuple[str, str | None]:
    """What makes two documents one: name and bytes, as far as they are said."""
    return entry.unique_id, entry.hash
