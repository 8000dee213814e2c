"""What is written down about a patient's reports: requests with their days, and suspensions."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Final

from starlette.responses import Response

from node.console.case_forms import actor_of, day_end
from node.console.guard import missing
from node.console.parts import Visit
from node.console.patients_page import GONE, looked_up, patient
from node.console.rendering import see
from node.governance.case_model import Refusal
from node.model import PatientId

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def patient_duties(visit: Visit) -> Response:
    """``POST /patients/{reference}/duties``: ask, extend, answer, suspend or lift."""
    found = looked_up(visit)
    if found is None:
        return missing(visit, GONE)
    verb = visit.form.get("verb", "")
    if verb in ("ask", "suspend"):
        refusal = _new(visit, found, verb)
    elif verb in ("extend", "answer", "lift"):
        refusal = _about(visit, found, verb)
    else:
        return missing(visit, "There is no such thing to do about a patient's report.")
    if refusal is not None:
        status = 400 if refusal.field else 409
        return patient(visit, duty_problem=refusal.sentence, status=status)
    return see(f"/patients/{visit.request.path_params['reference']}#duties")


def _new(visit: Visit, found: PatientId, verb: str) -> Refusal | None:
    duties, author, form = visit.console.duties, actor_of(visit).author, visit.form
    login, now = visit.user.login, visit.now
    if verb == "ask":
        asked = _day(form.get("asked", ""))
        if asked is None:
            return _unreadable("asked")
        # a day before today counts from its beginning
        asked = now if asked.date() == visit.shown(now).date() else asked
        return duties.ask(found, author, login, asked=asked, now=now)
    until = day_end(visit, form.get("until", ""))
    if until is None:
        return _unreadable("until")
    return duties.suspend(
        found,
        form.get("peer", "").strip(),
        author,
        login,
        until=until,
        oral=form.get("oral") == "yes",
        text=form.get("text", ""),
        now=now,
    )


def _about(visit: Visit, found: PatientId, verb: str) -> Refusal | None:
    duties, author, now = visit.console.duties, actor_of(visit).author, visit.now
    typed = visit.form.get("number", "")
    if not _NUMBER.fullmatch(typed):
        return Refusal(code="number-invalid", sentence="There is no such row.", field="number")
    number = int(typed)
    if verb == "extend":
        return duties.extend(found, number, author, text=visit.form.get("text", ""), now=now)
    if verb == "answer":
        return duties.answer(found, number, author, now=now)
    return duties.lift(found, number, author, now=now)


def _day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(0), tzinfo=UTC)
    except ValueError:
        return None


def _unreadable(name: str) -> Refusal:
    return Refusal(code=f"{name}-invalid", sentence="A day is written as YYYY-MM-DD.", field=name)
