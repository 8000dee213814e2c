"""Loads FHIR resources: those of bundles, and those that we make of C-CDA documents.

A person known from C-CDA alone gets a Patient of ours. When a FHIR system gives one later, that one
takes its place, and the documents are about it from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from node.records.fhir.index import FhirIndex, Indexed, NewResource, Origin
from node.records.fhir.people import FhirPeople
from node.records.index import Held, RecordIndex
from node.records.store import ContentStore
from node.wire.fhir.authored import (
    binary_head,
    document_id,
    document_reference,
    patient_resource,
)
from node.wire.fhir.bundle_reader import BundleResource, LeftOut, read_resources
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir_patient import read_patient

_SEPARATOR = b"\n"
_CDA = frozenset({"text/xml", "application/xml"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLoaded:
    """What a bundle brought: the fate of its resources, and the entries that are not served."""

    indexed: Indexed
    left_out: tuple[LeftOut, ...] = ()


class FhirLoader:
    """Brings FHIR resources from files of the content store into the index."""

    def __init__(
        self, index: FhirIndex, people: FhirPeople, records: RecordIndex, store: ContentStore
    ) -> None:
        """``records`` has the people and documents, ``people`` which Patients they are."""
        self._index = index
        self._records = records
        self._store = store
        self._people = people

    def load_bundle(
        self, sha256: str, now: datetime, *, local_id: str | None, max_bytes: int
    ) -> BundleLoaded:
        """Index the resources of a bundle that is in the store.

        Args:
            sha256: the bundle's name in the store.
            now: when this happens.
            local_id: the person, where the bundle is about one and was indexed as a document.
            max_bytes: size limit of a file in the store.

        Raises:
            WireError, LimitError: as ``read_resources``.
        """
        data = self._store.read(sha256)
        resources, left_out = read_resources(data, resource_types())
        places = _places(data, [r.data for r in resources])
        if places is None:
            # something was spliced in: what is served becomes a file of its own
            pieces = _SEPARATOR.join(r.data for r in resources)
            sha256 = self._store.put([pieces], max_bytes=2 * max_bytes).content.sha256
            places = _in_a_row([r.data for r in resources])
        people = self._persons(resources, sha256, local_id, now)
        new = [
            NewResource(
                resource=resource, sha256=sha256, start=start, local_id=people.get(resource.id)
            )
            if resource.type == "Patient"
            else NewResource(resource=resource, sha256=sha256, start=start)
            for resource, start in zip(resources, places, strict=True)
        ]
        indexed = self._index.add(new, now)
        self.make_documents(dict.fromkeys(people.values()), now)
        return BundleLoaded(indexed=indexed, left_out=tuple(left_out))

    def make_documents(self, local_ids: Iterable[str], now: datetime) -> None:
        """Author what C-CDA documents of people are served as, or author it anew."""
        for local_id in local_ids:
            documents = [held for held in self._records.of_person(local_id) if _is_cda(held)]
            given = self._people.given(local_id)
            if given is not None:
                self._index.remove([("Patient", local_id)])
            elif documents:
                self._index.add([self._made_patient(local_id)], now)
            about = given or local_id
            self._index.add([r for held in documents for r in _made(held, about)], now)

    def _persons(
        self,
        resources: Sequence[BundleResource],
        sha256: str,
        local_id: str | None,
        now: datetime,
    ) -> dict[str, str]:
        """The person of each Patient; one that was linked before stays linked."""
        patients = [r for r in resources if r.type == "Patient"]
        if len(patients) == 1 and local_id is not None:
            return {patients[0].id: local_id}
        known = self._index.known_patients(p.id for p in patients)
        found = {}
        for patient in patients:
            found[patient.id] = known.get(patient.id) or self._records.place(
                read_patient(patient.content)[0], f"{sha256}:{patient.id}", now
            )
        return found

    def _made_patient(self, local_id: str) -> NewResource:
        own = self._records.patient_id(local_id)
        known = self._records.demographics(own)
        if known is None:
            raise LookupError(local_id)
        content = patient_resource(local_id, known, own)
        return NewResource(
            resource=_authored(content, local_id), origin=Origin.MADE, local_id=local_id
        )


def _places(data: bytes, pieces: Sequence[bytes]) -> list[int] | None:
    """Where pieces stand in a file, or ``None`` when one stands nowhere.

    Where equal bytes stand is the same to those who read them.
    """
    found, at = [], 0
    for piece in pieces:
        start = data.find(piece, at)
        if start < 0:
            return None
        found.append(start)
        at = start + len(piece)
    return found


def _in_a_row(pieces: Sequence[bytes]) -> list[int]:
    found, at = [], 0
    for piece in pieces:
        found.append(at)
        at += len(piece) + len(_SEPARATOR)
    return found


def _is_cda(held: Held) -> bool:
    """Whether it is a document of its own and not one that a bundle carries."""
    inside = held.path.rpartition("#")[2]
    return held.entry.mime_type in _CDA and not ("#" in held.path and inside.isdecimal())


def _made(held: Held, patient: str) -> list[NewResource]:
    entry = held.entry
    reference = document_reference(entry, patient)
    head = binary_head(entry)
    binary = BundleResource(
        type="Binary",
        id=document_id(entry),
        data=head,
        content=orjson.loads(head),
        patients=frozenset([patient]),
    )
    return [
        NewResource(resource=_authored(reference, patient), origin=Origin.MADE),
        NewResource(resource=binary, origin=Origin.DOCUMENT, sha256=held.sha256, size=entry.size),
    ]


def _authored(content: dict[str, object], patient: str) -> BundleResource:
    return BundleResource(
        type=str(content["resourceType"]),
        id=str(content["id"]),
        data=orjson.dumps(content),
        content=content,
        patients=frozenset([patient]),
    )
