"""What questions to the network by FHIR need: the network's patients, remembered for a while.

A person whom a discovery found is known at several communities, under another id at each. For our
own EHRs that is one Patient, the network patient, under an id of ours that says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from node.model import Demographics, HomeCommunityId, PatientId, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAt:
    """What a community calls a person.

    Attributes:
        home_community_id: the community.
        patient_id: its identifier for the person, where XCPD or a FHIR Patient gave it.
        fhir_id: the logical id of its Patient, where we asked its FHIR server.
        demographics: what it says of the person; who asks compares it.
    """

    home_community_id: HomeCommunityId
    patient_id: PatientId | None = None
    fhir_id: str | None = None
    demographics: Demographics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPatient:
    """A person as the network knows them.

    Attributes:
        id: of the Patient that our EHRs see: random, with no relation to the person.
        asked: the demographics that were asked with.
        known: every community that knows the person.
        expires: when it is forgotten.
    """

    id: str
    asked: Demographics
    known: tuple[KnownAt, ...]
    expires: datetime


class NetworkPatients(Protocol):
    """The network patients of our own users and systems; nobody sees those of another purpose."""

    async def keep(
        self,
        principal: Principal,
        asked: Demographics,
        known: Sequence[KnownAt],
        *,
        alone: bool = False,
    ) -> NetworkPatient:
        """Remember a person; the same person asked for again by the same user keeps the id.

        ``alone``: what one community calls somebody, beside whom nobody else is put.
        """
        ...

    async def get(self, principal: Principal, id_: str) -> NetworkPatient | None:
        """A person, or ``None`` when unknown, expired or another user's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike two sets of demographics are.

    Attributes:
        percent: from 0 to 100.
        is_certain: whether they are one person.
        contradicts: whether something in them says that they are not.
    """

    percent: int
    is_certain: bool
    contradicts: bool


Compare = Callable[[Demographics, Demographics], Likeness]
"""Compares what was asked with what a community answered."""
