"""``/records``: finding a patient, and a clinician's own requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from node.console.clinic import door
from node.console.clinic.asking import (
    Whom,
    offered,
    plain_purpose,
    principal_of,
    purposes_of,
    whom_of,
)
from node.console.clinic.beginning import begin
from node.console.clinic.find_form import SEXES, Sought, read_form
from node.console.clinic.person_words import name_of
from node.console.clinic.request import ClinicRequest
from node.console.clinic.requests import LIFETIME
from node.console.clinic.words import Heading, heading_of
from node.console.parts import Visit
from node.console.proof import unproved
from node.console.rendering import page, see
from node.governance.case_model import Refusal

_NOBODY: Final = "Our records have nobody with this number. Type name and birth date instead."
_BUSY: Final = (
    "Too many searches run now, yours or everybody's. Wait for one of them to end, or stop it."
)
_AWAY: Final = "This process of the node does not ask others. Your administrator knows which does."
_EMPTY: Final = dict.fromkeys(("name", "born", "sex", "zip", "number"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mine:
    """A request of one's own in a list; the name only for who has just proved themselves."""

    request: ClinicRequest
    heading: Heading
    name: str | None


def find_page(
    visit: Visit,
    sought: Sought | None = None,
    *,
    status: int = 200,
    problem: Refusal | None = None,
) -> Response:
    """``GET /records``."""
    return page(
        visit,
        "records.html",
        title="Outside records",
        at="/records",
        status=status,
        mine=mine_of(visit),
        problem=problem,
        lifetime=LIFETIME // timedelta(hours=1),
        **form_parts(visit, sought),
    )


def find_post(visit: Visit) -> Response:
    """``POST /records``: begin a search, and go on to its page."""
    clinic = visit.console.clinic
    sought = read_form(visit.form, visit.shown(visit.now).date())
    if sought.problems:
        return find_page(visit, sought, status=400)
    if clinic.network is None or clinic.searches is None:
        return _refused(visit, sought, _AWAY)
    chosen = visit.form.get("purpose")
    # without a choice the one that the page said; a chosen one is refused with its own reason
    purposes = purposes_of(visit.user) if chosen else offered(visit) or purposes_of(visit.user)
    purpose = next((p for p in purposes if chosen in (None, p.code)), None)
    principal = principal_of(visit.user, purpose, visit.console.own) if purpose else None
    if principal is None:
        return _refused(visit, sought, "Your role does not ask for this purpose. Choose another.")
    decision = clinic.network.initiator.may_ask(principal)
    if not decision.permitted:
        return _refused(visit, sought, f"{decision.sentence} Your administrator can change that.")
    whom = whom_of(sought, clinic)
    if whom is None:
        return find_page(visit, replace(sought, problems={"number": _NOBODY}), status=400)
    token = begin(visit, clinic.network, clinic.searches, principal=principal, whom=whom)
    return _refused(visit, sought, _BUSY) if token is None else see(f"/records/{token}")


def again_post(visit: Visit) -> Response:
    """``POST /records/{token}/again``: ask for the same person once more, as who asks is now."""
    asked = door.opened(visit)
    if isinstance(asked, Response):
        return asked
    clinic = visit.console.clinic
    if clinic.network is None or clinic.searches is None:
        return _refused(visit, None, _AWAY)
    wanted = asked.principal.purpose.code
    purpose = next((p for p in purposes_of(visit.user) if p.code == wanted), None)
    principal = principal_of(visit.user, purpose, visit.console.own) if purpose else None
    if principal is None:
        return _refused(visit, None, "Your role does not ask for this purpose. Choose another.")
    decision = clinic.network.initiator.may_ask(principal)
    if not decision.permitted:
        return _refused(visit, None, f"{decision.sentence} Your administrator can change that.")
    whom = Whom(demographics=asked.demographics, patient=asked.patient)
    token = begin(visit, clinic.network, clinic.searches, principal=principal, whom=whom)
    return _refused(visit, None, _BUSY) if token is None else see(f"/records/{token}")


def names_post(visit: Visit) -> Response:
    """``POST /records/names``: show whose requests they are, to who proves themselves again."""
    refusal = unproved(visit)
    return find_page(visit, status=403, problem=refusal) if refusal else see("/records#mine")


def form_parts(visit: Visit, sought: Sought | None) -> Mapping[str, Any]:
    """What the form needs, with what was typed in it."""
    return {
        "sought": sought or Sought(typed=_EMPTY, problems={}),
        "sexes": SEXES,
        "purposes": (purposes := offered(visit)),
        "usual_purpose": plain_purpose(purposes[0]) if purposes else "",
        "purpose": visit.form.get("purpose") or None,
    }


def mine_of(visit: Visit) -> tuple[_Mine, ...]:
    """A person's own requests, newest first."""
    proved = visit.session.proved
    return tuple(
        _Mine(
            request=each,
            heading=heading_of(each),
            name=name_of(each.demographics) if proved else None,
        )
        for each in visit.console.clinic.requests.all_of(visit.user.login, visit.now)
    )


def _refused(visit: Visit, sought: Sought | None, why: str) -> Response:
    typed = sought or Sought(typed=_EMPTY, problems={})
    return find_page(visit, replace(typed, problems={"name": why}), status=409)
