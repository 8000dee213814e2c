"""Encounters, grants and relationships over a database, and people of a made-up feed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from node.encounter import Does, EncounterClass, EncounterEvent, Part, PractitionerId
from node.governance.access.encounters import Encounters, Taken
from node.governance.access.grants import Grant, Grants
from node.governance.access.patient_marks import AskedPatient, patient_marks
from node.governance.access.relationships import Access, Relationships
from node.ledger.find import LedgerFilter, find
from node.ledger.private import LedgerKey
from node.ledger.show import show
from node.ledger.trust_change import Author
from node.model import Demographics, PatientId, PersonName
from node.policy.relationship import Clinician, shipped_rules

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
OWN = "urn:oid:2.999.71"
ME = PractitionerId(authority="NPI", id="1234567893")
DOCTOR = Clinician(ids=frozenset({ME}))
JANE = PatientId(assigning_authority="2.999.71.1", id="MRN-0042")
OTHER = PatientId(assigning_authority="2.999.71.1", id="MRN-0777")
FEED = Author(by="node", who={"process": "node"})


def person(family: str = "Canaryson", born: str = "19610302", sex: str = "F") -> Demographics:
    name = PersonName(family=family, given=("Jane",))
    return Demographics(names=(name,), birth_date=born, sex=sex)


def event(does: Does = Does.BEGIN, **more) -> EncounterEvent:
    given = {
        "at": NOW - timedelta(hours=2),
        "patients": (JANE,),
        "person": person(),
        "visit": PatientId(assigning_authority="2.999.71.9", id="V-1"),
        "kind": EncounterClass.INPATIENT,
        "departments": ("ICU",),
        "people": ((Part.ATTENDING, ME),),
    }
    return EncounterEvent(does=does, **(given | more))


@dataclass
class AccessWorld:
    store: Engine
    required: bool = True

    def __post_init__(self) -> None:
        self.key = LedgerKey(bytes(32))
        self.encounters = Encounters(self.store, self.key, own=OWN)
        self.grants = Grants(self.store, self.key, own=OWN)
        self.relationships = Relationships(
            self.encounters, self.grants, self.key, shipped_rules(), required=self.required
        )

    def take(self, *events: EncounterEvent) -> Taken:
        return self.encounters.take(events, author=FEED, source="feed", now=NOW)

    def access(
        self,
        *identifiers: PatientId,
        person: Demographics | None = None,
        login: str = "ida",
        clinician: Clinician = DOCTOR,
        now: datetime = NOW,
    ) -> Access:
        asked = AskedPatient(identifiers=identifiers, person=person)
        return self.relationships.access(login, clinician, asked, now=now)

    def give(self, patient: AskedPatient, *, login: str = "ida", minutes: int = 120) -> Grant:
        grant = Grant(
            id=f"grant-of-{login}",
            login=login,
            reason="emergency",
            began=NOW,
            until=NOW + timedelta(minutes=minutes),
            case="2026-0001",
        )
        author = Author(by="user", who={"user_id": login})
        self.grants.give(grant, patient_marks(self.key, patient), author=author, about={})
        return grant

    def entries(self) -> list[tuple[dict[str, object], dict[str, object]]]:
        """Leaf and private groups of the entries, the oldest first."""
        found = find(self.store, LedgerFilter(kind="admin"), key=self.key, limit=200).entries
        made = []
        for entry in reversed(found):
            shown = show(self.store, entry.seq, self.key)
            assert shown is not None
            assert not shown.findings
            groups = {name: each.value for name, each in shown.groups.items()}
            made.append((dict(entry.fields), groups))
        return made
