"""An encounter of a patient with our people, as far as rules ask about it. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from node.model import Demographics, PatientId


class EncounterClass(StrEnum):
    """What kind of encounter it is (HL7 table 0004)."""

    INPATIENT = "inpatient"
    EMERGENCY = "emergency"
    OUTPATIENT = "outpatient"
    RECURRING = "recurring"
    OBSTETRICS = "obstetrics"
    PREADMISSION = "preadmission"
    OTHER = "other"


class Part(StrEnum):
    """What part a practitioner has in an encounter (HL7 v2 PV1-7, 8, 9, 17)."""

    ATTENDING = "attending"
    ADMITTING = "admitting"
    CONSULTING = "consulting"
    REFERRING = "referring"


class EncounterState(StrEnum):
    """How far an encounter has come."""

    PLANNED = "planned"
    PRESENT = "present"
    ENDED = "ended"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PractitionerId:
    """Who a practitioner is: the id, and who gave it.

    ``authority`` is a bare OID, a namespace of the sending system, ``NPI``, or empty. Two ids are
    the same only with the same authority.
    """

    authority: str
    id: str

    @property
    def text(self) -> str:
        """The form of commands and settings: ``ID@AUTHORITY``, or the ID alone."""
        return f"{self.id}@{self.authority}" if self.authority else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Encounter:
    """One encounter.

    Attributes:
        kind: its class.
        state: how far it has come.
        began: when it began, or is planned to; ``None`` where no message said so.
        ended: when it ended.
        noted: when the last event about it happened.
        departments: where it takes place, by the sender's codes.
        people: who of ours has which part.
    """

    kind: EncounterClass
    state: EncounterState
    began: datetime | None
    ended: datetime | None
    noted: datetime
    departments: tuple[str, ...] = ()
    people: tuple[tuple[Part, PractitionerId], ...] = ()


class Does(StrEnum):
    """What an event does to what is known of encounters."""

    PLAN = "plan"
    BEGIN = "begin"
    UPDATE = "update"
    END = "end"
    CANCEL = "cancel"
    """The encounter did not take place."""
    REOPEN = "reopen"
    """The end was a mistake."""
    MERGE_PATIENTS = "merge-patients"
    """``prior_patients`` are the same person as ``patients``, whose identifiers count now."""
    MERGE_VISITS = "merge-visits"
    """``prior_visit`` is the same visit as ``visit``."""
    MOVE_VISIT = "move-visit"
    """``visit`` is of ``patients``, not of the patient that it was filed under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncounterEvent:
    """What one message, or one row of a file, says about an encounter.

    Attributes:
        does: what it does.
        at: when the event happened.
        patients: whose encounter, by every identifier given.
        person: who that is, as far as it is said.
        visit: the visit number with its assigning authority.
        prior_patients: identifiers that are merged away.
        prior_visit: a visit number that is merged away.
        kind: class of the encounter; ``None`` where it is not said.
        began: when it began or is planned to.
        ended: when it ended.
        departments: codes of the places; empty where none is said.
        people: who has which part; empty where nobody is named.
    """

    does: Does
    at: datetime
    patients: tuple[PatientId, ...]
    person: Demographics | None = None
    visit: PatientId | None = None
    prior_patients: tuple[PatientId, ...] = ()
    prior_visit: PatientId | None = None
    kind: EncounterClass | None = None
    began: datetime | None = None
    ended: datetime | None = None
    departments: tuple[str, ...] = ()
    people: tuple[tuple[Part, PractitionerId], ...] = ()
