"""A patient's disclosures: looked up by identifier, read on a page, taken along as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from starlette.responses import Response

from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import SECURITY_HEADERS, page, see
from node.errors import CodedError
from node.governance.access_report import make_access
from node.governance.disclosure_files import MEDIA, listed, make, sections_of, title_of
from node.governance.disclosure_reading import Asked
from node.governance.language import languages
from node.ledger.trust_change import TrustChange
from node.model import PatientId
from node.wire.identifiers import parse_cx

MOST_ROWS: Final = 200
"""Disclosures on the page; the files have all."""

_LONGEST: Final = 256
GONE: Final = "This address stands for no patient, or not any more. Look the patient up again."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Period:
    """Which days, and which form, a page or a file is asked for."""

    first: date
    last: date
    full: bool


def patients(visit: Visit, problem: str | None = None) -> Response:
    """``GET /patients``: where a patient is looked up."""
    return page(
        visit,
        "patients.html",
        title="Patients",
        at="/patients",
        status=400 if problem else 200,
        problem=problem,
    )


def patient_find(visit: Visit) -> Response:
    """``POST /patients``: a page of a random address for the patient with this identifier."""
    typed = visit.form.get("patient", "").strip()
    try:
        # too long for any identifier: not read at all
        found = parse_cx(typed if len(typed) <= _LONGEST else "")
    except CodedError:
        return patients(visit, "This is no identifier of the form id^^^&oid&ISO.")
    console = visit.console
    token = console.key.patient_token(found).hex()
    console.recorder(visit.user).fact(
        TrustChange(act="disclosure-look", private={"patient": f"~{token}"})
    )
    return see(f"/patients/{console.looked_up.keep(visit.user.login, found, visit.now)}")


def patient(visit: Visit, duty_problem: str | None = None, *, status: int = 200) -> Response:
    """``GET /patients/{reference}``: the report of a period."""
    found = looked_up(visit)
    if found is None:
        return missing(visit, GONE)
    period, problem = _period(visit, visit.request.query_params)
    report = visit.console.disclosures.report(_asked(visit, found, period))
    rows = listed(report)
    return page(
        visit,
        "patient.html",
        title=title_of(report),
        at="/patients",
        status=400 if problem else status,
        heading=title_of(report),
        report=report,
        period=period,
        sections=sections_of(report),
        rows=rows[:MOST_ROWS],
        in_all=len(rows),
        problem=problem,
        action=f"/patients/{visit.request.path_params['reference']}",
        requests=visit.console.duties.requests(found),
        suspensions=visit.console.duties.suspensions(found, now=visit.now),
        duty_problem=duty_problem,
        languages=languages(),
        today=f"{visit.shown(visit.now):%Y-%m-%d}",
        days_left=lambda due: (due - visit.now).days,
    )


def patient_report(visit: Visit) -> Response:
    """``POST /patients/{reference}``: the report as a file; the log says so before it leaves."""
    found = looked_up(visit)
    if found is None:
        return missing(visit, GONE)
    how = visit.form.get("how", "")
    period, problem = _period(visit, visit.form)
    if problem or how not in MEDIA:
        return patient_problem(visit, problem or "Choose one of the two files.")
    report = visit.console.disclosures.report(_asked(visit, found, period))
    token, code = visit.console.key.patient_token(found), visit.form.get("language", "")
    if code and code not in languages():
        return patient_problem(visit, f"Choose one of the languages: {', '.join(languages())}.")
    made = make_access(report, how, code, token=token) if code else make(report, how, token=token)
    visit.console.recorder(visit.user).fact(made.change)
    name = f"disclosures-{visit.shown(visit.now):%Y-%m-%d}.{how}"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
        **SECURITY_HEADERS,
    }
    return Response(made.data, headers=headers | {"content-type": MEDIA[how]})


def patient_problem(visit: Visit, problem: str) -> Response:
    """What was wrong with the form, where the form is."""
    return page(
        visit,
        "problem.html",
        title="Not possible",
        at="/patients",
        status=400,
        sentence=problem,
        advice="Go back and choose again.",
    )


def looked_up(visit: Visit) -> PatientId | None:
    """The patient whom an address stands for."""
    reference = str(visit.request.path_params["reference"])
    return visit.console.looked_up.find(visit.user.login, reference, visit.now)


def _period(visit: Visit, given: Mapping[str, str]) -> tuple[_Period, str | None]:
    """What is asked for; of days that cannot be read the default period, and the problem."""
    today = visit.shown(visit.now).date()
    earliest = visit.console.disclosures.rules.first_day(visit.shown(visit.now)).date()
    full = given.get("form_of_report") == "full"
    usual = _Period(first=earliest, last=today, full=full)
    try:
        first = date.fromisoformat(given.get("from") or earliest.isoformat())
        last = date.fromisoformat(given.get("until") or today.isoformat())
    except ValueError:
        return usual, "A day is written as YYYY-MM-DD."
    if not date(2000, 1, 1) <= first <= last <= today:
        return usual, "The period begins before it ends, and ends today at the latest."
    return _Period(first=first, last=last, full=full), None


def _asked(visit: Visit, found: PatientId, period: _Period) -> Asked:
    return Asked(
        patient=found,
        since=_midnight(visit, period.first),
        until=_midnight(visit, period.last + timedelta(days=1)),
        full=period.full,
        by=visit.user.name,
        made=visit.now,
    )


def _midnight(visit: Visit, day: date) -> datetime:
    zone = UTC if visit.in_utc else visit.console.zone
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)
