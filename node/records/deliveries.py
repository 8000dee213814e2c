"""Documents that other communities push to us, into the index (``exchange.receive``).

The person is one of ours or nobody: by an id of ours that the submission names, else by what it
says of the person, as at a discovery. Nobody is made for a document that somebody sends.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping

from sqlalchemy.exc import DBAPIError

from node.errors import LimitError, OurFault, WireError
from node.exchange.document_sink import StoredPart
from node.exchange.ports import Clock, Inbox, LocalPatient
from node.exchange.receive import ReadyDelivery, ReadyDocument, unknown_patient
from node.model import Demographics, DocumentEntry, PatientId, RegistryError
from node.records.fhir.loader import FhirLoader
from node.records.index import NewDocument, RecordIndex
from node.records.likeness import likeness
from node.records.store import ContentStore
from node.wire.cda import read_document
from node.wire.document_facts import DocumentFacts
from node.wire.fhir_bundle import CDA_TYPES
from node.wire.source_patient import read_source_patient
from node.wire.submission_check import check_content
from node.wire.xcdr import Submission

_PATH = "delivered"
_READ_WHOLE = 64 * 1024 * 1024
"""Bytes of a C-CDA whose header is looked at; the loader of files takes no larger ones."""


class LocalDeliveries:
    """Implements ``exchange.receive.Deliveries``."""

    def __init__(
        self,
        *,
        index: RecordIndex,
        store: ContentStore,
        fhir: FhirLoader,
        inbox: Inbox,
        clock: Clock,
        max_bytes: int,
    ) -> None:
        """``inbox`` has what was received; ``max_bytes`` is of one document."""
        self._index = index
        self._store = store
        self._fhir = fhir
        self._inbox = inbox
        self._clock = clock
        self._max_bytes = max_bytes

    async def prepare(
        self, submission: Submission, parts: Mapping[str, StoredPart]
    ) -> ReadyDelivery:
        """Find the person and look at each document; nothing is kept or shown yet."""
        contents = [
            await self._looked_at(entry, parts[entry.entry_uuid]) for entry in submission.documents
        ]
        said = [_said(entry) for entry in submission.documents]
        headers = [header for _, header in contents if header is not None]
        person = await asyncio.to_thread(self._person, submission, [*said, *headers])
        if person is None:
            return ReadyDelivery(errors=(unknown_patient(),))
        errors: list[RegistryError] = []
        ready: list[ReadyDocument] = []
        for place, entry in enumerate(submission.documents, start=1):
            part, (sha1, header) = parts[entry.entry_uuid], contents[place - 1]
            errors += check_content(place, entry, size=part.size, sha1=sha1)
            if any(
                likeness(each, person.demographics).contradicts
                for each in (said[place - 1], header)
                if each is not None and each.names
            ):
                errors.append(
                    RegistryError(
                        code="XDSPatientIdDoesNotMatch",
                        context=f"Document {place} is about another person than the submission.",
                    )
                )
            held = await asyncio.to_thread(self._index.held, entry.unique_id)
            if held is not None and held.sha256 != part.sha256:
                errors.append(
                    RegistryError(
                        code="XDSNonIdenticalHash",
                        context=f"Another document has the uniqueId of document {place}.",
                    )
                )
            ready.append(ReadyDocument(entry=entry, part=part, is_new=held is None))
        return ReadyDelivery(person=person, documents=tuple(ready), errors=tuple(errors))

    async def keep(self, ready: ReadyDelivery) -> None:
        """Store and index them, the index in one transaction.

        Raises:
            OurFault: ``publish-failed``; none is held then.
        """
        loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._keep, ready, loop)
        except (OSError, DBAPIError, LimitError) as error:
            raise OurFault(
                "publish-failed",
                "A delivered document could not be stored.",
                detail=type(error).__name__,
            ) from error

    async def _looked_at(
        self, entry: DocumentEntry, part: StoredPart
    ) -> tuple[str, Demographics | None]:
        """The SHA-1 of a document, and whom its own header says that it is about."""
        digest = hashlib.sha1(usedforsecurity=False)
        is_read = entry.mime_type in CDA_TYPES and part.size <= _READ_WHOLE
        data = bytearray()
        async for chunk in self._inbox.open(part.token):
            digest.update(chunk)
            if is_read:
                data += chunk
        header = None
        if is_read:
            try:
                header = (await asyncio.to_thread(read_document, bytes(data))).patient
            except WireError:
                header = None  # some other XML
        return digest.hexdigest(), header

    def _person(
        self, submission: Submission, descriptions: list[Demographics]
    ) -> LocalPatient | None:
        named = {entry.patient_id for entry in submission.documents}
        if submission.submission_set is not None:
            named.add(submission.submission_set.patient_id)
        authority = self._index.community.assigning_authority
        ours = [each for each in named if each and each.assigning_authority == authority]
        if ours:
            return self._by_id(ours[0])
        found: dict[PatientId, LocalPatient] = {}
        for person in descriptions:
            if person.names:
                found |= {each.patient_id: each for each in self._index.match(person)}
        return next(iter(found.values())) if len(found) == 1 else None

    def _by_id(self, patient_id: PatientId) -> LocalPatient | None:
        local_id = self._index.resolve(patient_id)
        known = self._index.demographics(patient_id)
        if local_id is None or known is None:
            return None
        own = self._index.patient_id(local_id)
        return LocalPatient(patient_id=own, demographics=known, score=100)

    def _keep(self, ready: ReadyDelivery, loop: asyncio.AbstractEventLoop) -> None:
        if ready.person is None:
            return
        now, local_id = self._clock.now(), ready.person.patient_id.id
        fresh: list[str] = []
        try:
            new = []
            for each in ready.documents:
                if not each.is_new:
                    continue
                chunks = _pulled(self._inbox.open(each.part.token), loop)
                stored = self._store.put(chunks, max_bytes=self._max_bytes)
                if not stored.before:
                    fresh.append(stored.content.sha256)
                facts = _facts(each.entry, ready.person.demographics)
                new.append(
                    NewDocument(facts=facts, content=stored.content, path=_PATH, local_id=local_id)
                )
            self._index.add(new, now)
        except BaseException:
            for digest in fresh:
                self._store.remove(digest)
            raise
        self._fhir.make_documents([local_id], now)


def _said(entry: DocumentEntry) -> Demographics:
    return read_source_patient(entry.source_patient_info, entry.source_patient_id)


def _facts(entry: DocumentEntry, person: Demographics) -> DocumentFacts:
    """What the sender says of a document, about the person as we know them."""
    return DocumentFacts(
        patient=person,
        mime_type=entry.mime_type,
        source_patient_id=entry.source_patient_id,
        unique_id=entry.unique_id,
        version=entry.version,
        type_code=entry.type_code,
        class_code=entry.class_code,
        format_code=entry.format_code,
        title=entry.title,
        language=entry.language,
        confidentiality=entry.confidentiality,
        creation_time=entry.creation_time,
        service_start=entry.service_start,
        service_stop=entry.service_stop,
        authors=entry.authors,
        legal_authenticator=entry.legal_authenticator,
        facility_type=entry.facility_type,
        practice_setting=entry.practice_setting,
        event_codes=entry.event_codes,
    )


def _pulled(chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """Chunks of the event loop, for a thread."""

    async def following() -> bytes | None:
        return await anext(chunks, None)

    while (chunk := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
        yield chunk
