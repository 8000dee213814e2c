"""A clinician's request as it is stored: what came, from which everything else follows. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec

from node.console.clinic.request import ClinicRequest, Progress, SamePerson
from node.errors import OurFault
from node.exchange.network_ports import KnownAt
from node.model import (
    Demographics,
    DocumentEntry,
    ExchangeId,
    HomeCommunityId,
    Outcome,
    PatientId,
    Principal,
)

_MOST_OF_ONE: Final = 1024 * 1024
_MOST_OF_ALL: Final = 16 * 1024 * 1024
"""Bytes of DocumentReferences that are stored; those past it have to be asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """A transaction that ended; ``step`` by its name in the log."""

    step: str
    leg_id: str | None
    outcome: Outcome
    reason: str | None
    sentence: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSlot:
    """One organization, as far as a page needs it."""

    home: HomeCommunityId
    organization_id: str
    name: str
    usual_ms: int | None
    waiting: int
    began: datetime | None
    steps: tuple[StoredStep, ...]
    identities: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document that an organization named."""

    leg: int
    identity: int
    entry: DocumentEntry
    patient_id: PatientId | None
    resource: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSaid:
    """What the person said of an identity."""

    identity: int
    answer: SamePerson
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest:
    """All that came, in the order in which it came.

    Attributes:
        token, login, principal, exchange_id, began, demographics, patient: what never changes.
        barred: whether nobody was asked at first.
        progress, ended: how far it was.
        cut: whether there was more than is kept.
        slots, known, documents, said: what came; ``known`` with the number of its slot.
    """

    token: str
    login: str
    principal: Principal
    exchange_id: ExchangeId
    began: datetime
    demographics: Demographics
    patient: PatientId | None
    barred: bool
    progress: Progress
    ended: datetime | None
    cut: bool
    slots: tuple[StoredSlot, ...] = ()
    known: tuple[tuple[int, KnownAt], ...] = ()
    documents: tuple[StoredDocument, ...] = ()
    said: tuple[StoredSaid, ...] = ()

    @property
    def keys(self) -> tuple[tuple[str, str, str], ...]:
        """Community, repository and unique id of the documents."""
        return tuple(
            (
                self.slots[named.leg - 1].home,
                named.entry.repository_unique_id,
                named.entry.unique_id,
            )
            for named in self.documents
        )

    def is_about(self, patient: PatientId | None, legs: Collection[str]) -> bool:
        """Whether a person's identifier is anywhere in it, or it has one of these legs."""
        if any(step.leg_id in legs for slot in self.slots for step in slot.steps):
            return True
        return patient is not None and patient in {
            self.patient,
            *(known.patient_id for _, known in self.known),
            *(
                each
                for named in self.documents
                for each in (
                    named.patient_id, named.entry.patient_id, named.entry.source_patient_id,
                )
            ),
        }  # fmt: skip

    @property
    def base(self) -> ClinicRequest:
        """What never changes, as a request."""
        return ClinicRequest(
            token=self.token,
            login=self.login,
            principal=self.principal,
            exchange_id=self.exchange_id,
            began=self.began,
            progress=Progress.BARRED if self.barred else Progress.ASKING,
            demographics=self.demographics,
            patient=self.patient,
        )


def encoded(stored: StoredRequest) -> bytes:
    """As JSON. Documents past a limit are left out, and the request says that there was more."""
    kept, left = [], _MOST_OF_ALL
    for each in stored.documents:
        size = len(each.resource or b"")
        if size > min(left, _MOST_OF_ONE):
            break
        left -= size
        kept.append(each)
    is_cut = stored.cut or len(kept) < len(stored.documents)
    return msgspec.json.encode(replace(stored, documents=tuple(kept), cut=is_cut))


def decoded(data: bytes) -> StoredRequest:
    """From JSON. Raises ``OurFault`` ``clinic-request-unreadable``."""
    try:
        return msgspec.json.decode(data, type=StoredRequest)
    except msgspec.MsgspecError as error:
        raise OurFault(
            "clinic-request-unreadable", "A stored request of a clinician cannot be read."
        ) from error
