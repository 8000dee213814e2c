"""What a search keeps of an organization, a document and an answer while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from node.console.clinic.request import Ended, SamePerson
from node.exchange.ports import PeerEntry
from node.model import DocumentEntry, PatientId


@dataclass(slots=True, kw_only=True)
class Slot:
    """One organization. ``waiting``: transactions that run or are sure to come."""

    number: int
    entry: PeerEntry
    usual_ms: int | None = None
    waiting: int = 1
    began: datetime | None = None
    steps: list[Ended] = field(default_factory=list)
    identities: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Named:
    """A document."""

    number: int
    leg: int
    identity: int
    entry: DocumentEntry
    patient_id: PatientId | None
    resource: bytes | None


@dataclass(slots=True, kw_only=True)
class Said:
    """What the person said of an identity."""

    answer: SamePerson
    by: str
    at: datetime
