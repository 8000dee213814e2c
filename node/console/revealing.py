"""Whose token it is: shown to who may, has proved themselves again, and says why.

What is shown stands on the answer to a form and in no address. Who had it shown, of which exchange
and patient and for which reason is an entry of the log before the page leaves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response

from node.console.guard import missing
from node.console.parts import Visit
from node.console.proof import unproved
from node.console.rendering import page, see
from node.errors import CodedError
from node.governance.case_model import Refusal
from node.governance.exchanges import exchanges_of, read_exchange
from node.governance.person import Person, person_of
from node.ledger.trust_change import TrustChange
from node.model import Demographics, PatientId, PersonName

LEAST_WHY: Final = 10
MOST_WHY: Final = 500

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_NO_ENTRY: Final = "The log has no entry of an exchange with this number."
_SEXES: Final = {"M": "male", "F": "female", "UN": "undifferentiated"}
_GONE: Final = "This address stands for no patient, or not any more. Look the patient up again."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Of whom: where the page is, what leads back, the token, and how the person is read."""

    at: str
    back: str
    back_words: str
    token: str
    person: Person = field(repr=False)
    about: dict[str, object]


def exchange_person(visit: Visit) -> Response:
    """``GET`` and ``POST /exchanges/{id}/person``."""
    exchange_id = str(visit.request.path_params["exchange_id"])
    console = visit.console
    if _NUMBER.fullmatch(exchange_id) and visit.request.method == "GET":
        # lists name an exchange by an entry of it, which is shorter
        whole = exchanges_of(console.engine, [int(exchange_id)])
        return see(f"/exchanges/{whole[0]}/person") if whole else missing(visit, _NO_ENTRY)
    exchange = (
        read_exchange(console.engine, console.key, exchange_id)
        if _ID.fullmatch(exchange_id)
        else None
    )
    if exchange is None:
        return missing(visit, "The log has no exchange with this id.")
    if exchange.patient is None:
        return missing(visit, "This exchange is about nobody that could be read.")
    asked = _Asked(
        at="/exchanges",
        back=f"/exchanges/{exchange_id}",
        back_words=f"Exchange {exchange_id[:8]}",
        token=exchange.patient,
        person=person_of(console.engine, console.key, exchange),
        about={"exchange": exchange_id},
    )
    return _answer(visit, asked)


def patient_person(visit: Visit) -> Response:
    """``GET`` and ``POST /patients/{reference}/person``."""
    reference = str(visit.request.path_params["reference"])
    console = visit.console
    found = console.looked_up.find(visit.user.login, reference, visit.now)
    if found is None:
        return missing(visit, _GONE)
    asked = _Asked(
        at="/patients",
        back=f"/patients/{reference}",
        back_words="Patient",
        token=console.key.patient_token(found).hex(),
        person=Person(demographics=None, ids=(found,)),
        about={},
    )
    return _answer(visit, asked)


def _answer(visit: Visit, asked: _Asked) -> Response:
    if visit.request.method != "POST":
        return _page(visit, asked)
    why = visit.form.get("why", "").strip()
    if not LEAST_WHY <= len(why) <= MOST_WHY:
        sentence = f"Write {LEAST_WHY} to {MOST_WHY} characters on why; this has {len(why)}."
        return _page(visit, asked, Refusal(code="text-length", sentence=sentence, field="why"))
    refusal = unproved(visit)
    if refusal is not None:
        return _page(visit, asked, refusal)
    visit.console.recorder(visit.user).fact(
        TrustChange(
            act="patient-reveal",
            private={**asked.about, "patient": f"~{asked.token}", "why": why},
        )
    )
    return _page(visit, asked, shown=_shown(visit, asked.person))


def _page(
    visit: Visit,
    asked: _Asked,
    problem: Refusal | None = None,
    shown: dict[str, object] | None = None,
) -> Response:
    return page(
        visit,
        "person.html",
        title="A patient's name",
        at=asked.at,
        status=200 if problem is None else 400,
        asked=asked,
        problem=problem,
        shown=shown,
        typed_why=visit.form.get("why", "")[:MOST_WHY] if problem else "",
        least=LEAST_WHY,
        most=MOST_WHY,
    )


def _shown(visit: Visit, person: Person) -> dict[str, object]:
    """What the page says: what was asked with, or else what our own records have."""
    known, source = person.demographics, "as it was asked with"
    if known is None:
        known, source = _of_our_records(visit, person.ids), "of our own records"
    return {
        "names": [_name(each) for each in known.names[:5]] if known else [],
        "born": known.birth_date if known else None,
        "sex": _SEXES.get(known.sex or "", "") if known else "",
        "ids": [each.cx for each in person.ids],
        "source": source,
    }


def _of_our_records(visit: Visit, ids: tuple[PatientId, ...]) -> Demographics | None:
    people = visit.console.clinic.people
    for each in ids:
        try:
            found = people.demographics(each)
        except CodedError:
            continue
        if found is not None:
            return found
    return None


def _name(name: PersonName) -> str:
    parts = (name.prefix, *name.given, name.family, name.suffix)
    return " ".join(part for part in parts if part)
