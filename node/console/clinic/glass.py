"""Whether a person is let in to a patient, and what pages say of broken glass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from node.console.clinic.request import ClinicRequest
from node.console.parts import Visit
from node.governance.access.break_glass import GlassReason, glass_reasons
from node.governance.access.patient_marks import AskedPatient
from node.governance.access.relationships import Access
from node.model import Demographics, PatientId


@dataclass(frozen=True, slots=True, kw_only=True)
class GlassForm:
    """What the form says: the reasons, how long a grant lasts, who looks at it and when."""

    reasons: Mapping[str, GlassReason]
    minutes: int
    review_days: int
    officer: str
    back: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """What the banner says: until when, and the case that looks into it."""

    until: datetime
    until_ms: int
    minutes: int
    case: str
    end: str


def whom_of(visit: Visit, person: Demographics, patient: PatientId | None) -> AskedPatient:
    """Whom a request is about, by the identifiers that our own records give them."""
    people = visit.console.clinic.people
    identifiers = tuple(people.identifiers(patient)) if patient is not None else ()
    return AskedPatient(identifiers=identifiers, person=person)


def access_of(visit: Visit, person: Demographics, patient: PatientId | None) -> Access:
    """Whether a person may ask about a patient now."""
    user, whom = visit.user, whom_of(visit, person, patient)
    return visit.console.relationships.access(user.login, user.clinician, whom, now=visit.now)


def glass_form(visit: Visit, asked: ClinicRequest) -> GlassForm:
    """For the template of the form."""
    rules = visit.console.break_glass.rules
    return GlassForm(
        reasons=glass_reasons(),
        minutes=int(rules.lasts.total_seconds() // 60),
        review_days=rules.review_days,
        officer=visit.console.contacts.privacy_officer,
        back=f"/records/{asked.token}",
    )


def glass_banner(visit: Visit, asked: ClinicRequest) -> Banner | None:
    """For the template of the banner; ``None`` where no grant is what lets the person in."""
    grant = access_of(visit, asked.demographics, asked.patient).grant
    if grant is None:
        return None
    return Banner(
        until=grant.until,
        until_ms=round(grant.until.timestamp() * 1000),
        minutes=max(int((grant.until - visit.now).total_seconds() // 60), 0),
        case=grant.case,
        end=f"/records/{asked.token}/glass/end",
    )
