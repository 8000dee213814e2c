"""What the clinician's pages share, beside what all pages of the console have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from node.console.clinic.opening import Documents
from node.console.clinic.reports import Reports
from node.console.clinic.requests import Requests
from node.console.clinic.searching import Network, Searches
from node.exchange.ports import LocalPatient
from node.model import Demographics, PatientId


class LocalPeople(Protocol):
    """Our own records' people (implemented by ``records.index``)."""

    def match(self, demographics: Demographics) -> Sequence[LocalPatient]:
        """The one person with these demographics, or nobody."""
        ...

    def demographics(self, patient_id: PatientId) -> Demographics | None:
        """What is known of a person, or ``None``."""
        ...

    def identifiers(self, patient_id: PatientId) -> Sequence[PatientId]:
        """All ids of a person, those of the sources too."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinic:
    """The parts.

    Attributes:
        requests: what the clinicians asked.
        documents: what was fetched of what they found.
        people: our own records' people.
        authority: the OID of those who give our record numbers.
        network: how the node asks, or ``None`` in a process that asks nobody.
        searches: what runs, where there is a network.
        reports: problems that were reported just now.
    """

    requests: Requests
    documents: Documents
    people: LocalPeople
    authority: str
    network: Network | None = None
    searches: Searches | None = None
    reports: Reports = field(default_factory=Reports)
