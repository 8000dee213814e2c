"""Documents that our own systems publish, into the index (``exchange.network_publish``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson
from sqlalchemy.exc import DBAPIError

from node.errors import OurFault, SettingsError, WireError
from node.exchange.deliver import Delivery
from node.exchange.fhir_ports import FhirRecords, View
from node.exchange.network_publish import Prepared
from node.exchange.ports import Clock
from node.model import Demographics, Principal
from node.records.entries import entry_of
from node.records.fhir.loader import FhirLoader
from node.records.index import NewDocument, RecordIndex
from node.records.likeness import likeness
from node.records.outgoing import Outgoing, content_of, delivery_of, in_memory
from node.records.store import ContentStore
from node.wire.cda import read_document
from node.wire.fhir.authored import document_id
from node.wire.fhir.mhd_provide import Provided, ProvidedDocument
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir_bundle import CDA_TYPES
from node.wire.fhir_patient import read_patient

_PATH = "published"


class LocalPublications:
    """Implements ``exchange.network_publish.Publications`` and ``network_deliver.Outgoing``."""

    def __init__(
        self,
        *,
        index: RecordIndex,
        store: ContentStore,
        fhir: FhirLoader,
        people: FhirRecords,
        clock: Clock,
        max_bytes: int,
    ) -> None:
        """``people`` has the Patients of our own FHIR server; ``max_bytes`` is of one document."""
        self._index = index
        self._store = store
        self._fhir = fhir
        self._people = people
        self._clock = clock
        self._max_bytes = max_bytes

    async def prepare(self, documents: Sequence[ProvidedDocument]) -> list[Prepared]:
        """Find out whether each document can be indexed; nothing is stored or shown yet."""
        found = [
            await asyncio.to_thread(self._prepared, await self._whole(document))
            for document in documents
        ]
        ids = [each.document.facts.unique_id for each in found]
        if len(set(ids)) < len(ids):
            raise FhirProblem(
                "fhir-document-id-taken", "Two documents of the Bundle have one masterIdentifier."
            )
        return found

    async def delivery(self, provided: Provided, principal: Principal) -> Delivery:
        """The documents as they are sent to other communities; nothing of them is kept.

        Raises:
            FhirProblem: as ``prepare``; ``fhir-body-invalid`` for what cannot be sent.
        """
        outgoing = []
        for document in provided.documents:
            whole = await self._whole(document)
            if whole.facts.mime_type in CDA_TYPES:
                await asyncio.to_thread(_check_person, whole)
            content = await asyncio.to_thread(content_of, whole.content)
            outgoing.append(
                Outgoing(facts=whole.facts, content=content, chunks=in_memory(whole.content))
            )
        try:
            return delivery_of(
                outgoing,
                community=self._index.community,
                principal=principal,
                now=self._clock.now(),
                new_id=self._clock.new_id,
                set_id=provided.set_id,
            )
        except SettingsError as error:
            raise FhirProblem("fhir-body-invalid", error.sentence) from None

    async def _whole(self, document: ProvidedDocument) -> ProvidedDocument:
        patient = document.facts.patient
        if document.subject is not None:
            patient = await self._held_patient(document.subject)
        if not patient.names:
            raise FhirProblem(
                "fhir-patient-unknown",
                "The person is neither in the Bundle by name nor a Patient of our own server.",
            )
        return replace(document, facts=replace(document.facts, patient=patient))

    async def publish(self, prepared: Sequence[Prepared]) -> None:
        """Store and index them, the index in one transaction.

        Raises:
            OurFault: ``publish-failed``; none is held then.
        """
        try:
            await asyncio.to_thread(self._publish, prepared)
        except (OSError, DBAPIError) as error:
            raise OurFault(
                "publish-failed",
                "A published document could not be stored.",
                detail=type(error).__name__,
            ) from error

    async def _held_patient(self, id_: str) -> Demographics:
        held = await self._people.read("Patient", id_, View(scopes={"Patient": ()}))
        return read_patient(orjson.loads(held.data))[0] if held is not None else Demographics()

    def _prepared(self, document: ProvidedDocument) -> Prepared:
        facts = document.facts
        if len(document.content) > self._max_bytes:
            raise FhirProblem("fhir-search-limit", "A document is larger than is taken.")
        if facts.mime_type in CDA_TYPES:
            _check_person(document)
        content = content_of(document.content)
        held = self._index.held(facts.unique_id or "")
        if held is not None and held.sha256 != content.sha256:
            raise FhirProblem(
                "fhir-document-id-taken",
                "XDSDuplicateUniqueIdInRegistry: another document has this masterIdentifier.",
            )
        entry, _ = entry_of(facts, content, self._index.community)
        return Prepared(
            document=document,
            id=document_id(held.entry if held else entry),
            is_new=held is None,
            sha256=content.sha256,
        )

    def _publish(self, prepared: Sequence[Prepared]) -> None:
        now = self._clock.now()
        new = [each.document for each in prepared if each.is_new]
        fresh: list[str] = []
        try:
            ready = []
            for document in new:
                stored = self._store.put([document.content], max_bytes=self._max_bytes)
                if not stored.before:
                    fresh.append(stored.content.sha256)
                ready.append(NewDocument(facts=document.facts, content=stored.content, path=_PATH))
            added = self._index.add(ready, now)
        except BaseException:
            for digest in fresh:
                self._store.remove(digest)
            raise
        people = [a.entry.patient_id.id for a in added if a.entry.patient_id is not None]
        self._fhir.make_documents(dict.fromkeys(people), now)


def _check_person(document: ProvidedDocument) -> None:
    """A C-CDA says itself whom it is about: it must not be somebody else."""
    try:
        said = read_document(document.content).patient
    except WireError:
        return  # some other XML
    if said.names and likeness(said, document.facts.patient).contradicts:
        raise FhirProblem(
            "fhir-provide-mismatch",
            "XDSPatientIdDoesNotMatch: the document's own header is about another person.",
        )
