"""``LocalRecords``: the record source over the index and the content store (DESIGN section 5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from node.exchange.ports import Clock, LocalPatient, OpenDocument
from node.model import (
    Demographics,
    DocumentEntry,
    DocumentRef,
    PatientId,
    QueryAnswer,
    StoredQuery,
)
from node.records.index import Held, RecordIndex
from node.records.store import CHUNK, ContentStore
from node.records.stored_queries import QueryPolicy, evaluate, scope_of
from node.wire.identifiers import same_community


class LocalRecords:
    """Implements ``ports.RecordSource``. Database and disk work runs in threads.

    The one exception is a match that a local file answers at once, mostly with "nobody": the way
    to a thread and back would cost several times as much.
    """

    def __init__(
        self, index: RecordIndex, store: ContentStore, policy: QueryPolicy, clock: Clock
    ) -> None:
        """``policy`` says how stored queries are answered; ``clock`` dates the last five years."""
        self._index = index
        self._store = store
        self._policy = policy
        self._clock = clock

    async def match(self, demographics: Demographics) -> Sequence[LocalPatient]:
        """The one person who matches with certainty, or nobody (QTF-1503)."""
        found = self._index.match_at_once(demographics)
        if found is None:
            found = await asyncio.to_thread(self._index.match, demographics)
        return found

    async def identifiers(self, patient_id: PatientId) -> Sequence[PatientId]:
        """All identifiers of the person with a local id, that id included; empty when unknown."""
        return await asyncio.to_thread(self._index.identifiers, patient_id)

    async def find(self, query: StoredQuery) -> QueryAnswer:
        """Answer a stored query whose form has been checked."""
        return await asyncio.to_thread(self._find, query)

    async def entry(self, ref: DocumentRef) -> DocumentEntry | None:
        """The entry of one document, or ``None``."""
        if not self._ours(ref):
            return None
        held = await asyncio.to_thread(self._index.held, ref.document_unique_id)
        return held.entry if held else None

    async def open(self, ref: DocumentRef) -> OpenDocument | None:
        """Open one document, or ``None`` when it is not held or its content is gone."""
        if not self._ours(ref):
            return None
        held = await asyncio.to_thread(self._with_content, ref.document_unique_id)
        return OpenDocument(entry=held.entry, chunks=self._chunks(held.sha256)) if held else None

    def _ours(self, ref: DocumentRef) -> bool:
        community = self._index.community
        home = ref.home_community_id
        return ref.repository_unique_id == community.repository_unique_id and (
            not home or same_community(home, community.home_community_id)
        )

    def _with_content(self, unique_id: str) -> Held | None:
        held = self._index.held(unique_id)
        return held if held and self._store.path(held.sha256).is_file() else None

    def _find(self, query: StoredQuery) -> QueryAnswer:
        scope = scope_of(query)
        known = scope.patient_id is not None and self._index.resolve(scope.patient_id) is not None
        return evaluate(
            query,
            self._index.entries(scope),
            known_patient=known,
            policy=self._policy,
            now=self._clock.now(),
        )

    async def _chunks(self, digest: str) -> AsyncIterator[bytes]:
        chunks = self._store.chunks(digest)
        try:
            while chunk := await asyncio.to_thread(next, chunks, b""):
                yield chunk
                if len(chunk) < CHUNK:
                    return  # the last one: the way to a thread costs more than reading it
        finally:
            chunks.close()
