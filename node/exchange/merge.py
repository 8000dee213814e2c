"""What many peers gave, as one list: the same bytes are one document with several sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.model import DocumentEntry, Peer, RetrievedDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a document came from: the peer and, where the query told, its metadata there."""

    peer: Peer
    document: RetrievedDocument
    entry: DocumentEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedDocument:
    """One document's bytes and everybody who holds them; the first source speaks for its title."""

    sha256: str
    size: int
    mime_type: str
    sources: tuple[Source, ...]

    @property
    def title(self) -> str | None:
        """The first title any source gives."""
        return next((s.entry.title for s in self.sources if s.entry and s.entry.title), None)

    @property
    def type_code(self) -> str | None:
        """The first document type code any source gives (LOINC, as a rule)."""
        codes = (s.entry.type_code for s in self.sources if s.entry)
        return next((code.code for code in codes if code), None)

    @property
    def token(self) -> str:
        """Names the stored bytes of the first source."""
        return self.sources[0].document.token


def fold(sources: Iterable[Source]) -> tuple[FoldedDocument, ...]:
    """Put sources of the same bytes together, in the order of first appearance."""
    by_hash: dict[str, list[Source]] = {}
    for source in sources:
        by_hash.setdefault(source.document.sha256, []).append(source)
    return tuple(
        FoldedDocument(
            sha256=sha256,
            size=group[0].document.size,
            mime_type=group[0].document.mime_type,
            sources=tuple(group),
        )
        for sha256, group in by_hash.items()
    )
