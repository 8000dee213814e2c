"""Links to documents of the network: opaque, sealed, of one client and for some hours (ITI-68).

MHD warns that changing a URL must not lead to another document, and that a URL must not say
anything of a patient: a handle is encrypted and authenticated, and opens for one client alone.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from node.exchange.fhir_paging import holder_of
from node.exchange.fhir_ports import Grant
from node.exchange.sealed_token import SealedTokens
from node.model import DocumentRef, HomeCommunityId, PatientId
from node.wire.fhir.attachment import Attachment
from node.wire.fhir.problem import FhirProblem

_MOST_PERSON = 5
"""Identifiers of a person in one link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentHandle:
    """What a link stands for.

    Attributes:
        ref: the document.
        patient_id: what its community calls the person, for ITI-39.
        mime_type: what was said of the document; empty where nothing was.
        attachment: of a FHIR server, what its DocumentReference says, the link there among that.
        person: then, identifiers of the person, for the private record.
    """

    ref: DocumentRef
    patient_id: PatientId | None
    mime_type: str
    attachment: Attachment | None = None
    person: tuple[PatientId, ...] = ()

    @property
    def patients(self) -> tuple[PatientId, ...]:
        """Whom it is about, as far as is known."""
        return (self.patient_id,) if self.patient_id else self.person


class DocumentHandles:
    """Seals and opens the links."""

    def __init__(self, key: bytes, life: timedelta) -> None:
        """``key`` has 32 bytes; ``life``: how long a link may be followed."""
        self._tokens = SealedTokens(hmac.digest(key, b"tefca-node network documents v1", "sha256"))
        self._life = life

    def sealed(self, handle: DocumentHandle, grant: Grant, now: datetime) -> str:
        """The last part of a document's address."""
        ref, patient, there = handle.ref, handle.patient_id, handle.attachment
        plain = orjson.dumps(
            [
                ref.home_community_id,
                ref.repository_unique_id,
                ref.document_unique_id,
                _pair(patient) if patient else None,
                handle.mime_type,
                int((now + self._life).timestamp()),
                [there.url, there.media_type, there.size, there.hash] if there else None,
                [_pair(each) for each in handle.person[:_MOST_PERSON]],
            ]
        )
        return self._tokens.sealed(plain, holder_of(grant))

    def opened(self, token: str, grant: Grant, now: datetime) -> DocumentHandle:
        """What a link stands for.

        Raises:
            FhirProblem: ``fhir-not-found`` when it is not ours or not theirs,
                ``fhir-document-link-expired``.
        """
        plain = self._tokens.opened(token, holder_of(grant))
        if plain is None:
            raise FhirProblem("fhir-not-found", "There is no such document.")
        home, repository, document, patient, mime_type, until, *more = orjson.loads(plain)
        there, person = more or (None, ())  # links of before have neither
        if until < now.timestamp():
            raise FhirProblem(
                "fhir-document-link-expired", "The link to this document has expired; search again."
            )
        return DocumentHandle(
            ref=DocumentRef(
                home_community_id=HomeCommunityId(home),
                repository_unique_id=repository,
                document_unique_id=document,
            ),
            patient_id=_patient(patient) if patient else None,
            mime_type=mime_type,
            attachment=(
                Attachment(url=there[0], media_type=there[1], size=there[2], hash=there[3])
                if there
                else None
            ),
            person=tuple(_patient(each) for each in person),
        )


def _pair(patient: PatientId) -> list[str]:
    return [patient.assigning_authority, patient.id]


def _patient(pair: list[str]) -> PatientId:
    return PatientId(assigning_authority=pair[0], id=pair[1])
