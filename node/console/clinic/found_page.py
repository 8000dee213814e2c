"""``/records/{token}``: what each organization answered, and what the person does about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from anyio import from_thread
from markupsafe import Markup
from starlette.responses import Response

from node.console.clinic.asking import plain_purpose
from node.console.clinic.door import asked_of, gone, opened
from node.console.clinic.find_form import Sought
from node.console.clinic.find_page import form_parts
from node.console.clinic.person_words import (
    Line,
    age,
    born,
    difference,
    lines,
    name_of,
    sex,
)
from node.console.clinic.request import AskedLeg, ClinicRequest, LegState, Progress, SamePerson
from node.console.clinic.slots import drawn, key_of
from node.console.clinic.why import explanation, why_code
from node.console.clinic.words import Slot, empty_of, heading_of, reason_of, slot_of
from node.console.guard import missing
from node.console.parts import Visit
from node.console.reader.listing import listing
from node.console.rendering import page, see
from node.ledger.trust_change import TrustChange
from node.model import Demographics

MOST_SHOWN: Final = 12
"""Organizations above which those that hold nothing are named in one line, once all is over."""

_BROKEN: Final = (
    "The search ended early on our side. What had come by then is below; search again for the rest."
)
_INTERRUPTED: Final = (
    "The search was interrupted: the node was stopped before everybody had answered. What had come "
    "by then is below; ask again for the rest."
)
_CUT: Final = "There was more than this page keeps. Narrow the search, or ask again later."


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """An identity beside whom was asked about."""

    number: int
    leg: AskedLeg
    difference: str
    lines: tuple[Line, ...]
    documents: int
    said: str | None
    at: datetime | None


def found_page(visit: Visit) -> Response:
    """``GET /records/{token}``."""
    asked = opened(visit)
    if isinstance(asked, Response):
        return asked
    heading = heading_of(asked)
    folded = _folded(asked)
    shown = [leg for leg in asked.legs if leg not in folded]
    return page(
        visit,
        "records-found.html",
        title="Outside records",
        at="/records",
        asked=asked,
        heading=heading,
        empty=empty_of(asked),
        notice=_notice(asked),
        person=_person(visit, asked),
        slots=[_slot(asked, leg, visit.now) for leg in shown],
        folded=[leg.name for leg in folded],
        compared=_compared(visit, asked),
        moment_ms=round(visit.now.timestamp() * 1000),
        **listing(visit, asked, f"/records/{asked.token}"),
        **form_parts(visit, _typed(asked)),
    )


def stop_post(visit: Visit) -> Response:
    """``POST /records/{token}/stop``: end the peers' requests."""
    asked, searches = asked_of(visit), visit.console.clinic.searches
    if asked is None:
        return gone(visit)
    if searches is not None and asked.progress is Progress.ASKING:
        left = len(asked.of_state(LegState.ASKING))
        private = {"request": asked.token, "exchange": asked.exchange_id}
        visit.console.recorder(visit.user).fact(
            TrustChange(act="records-stop", counts={"left_out": left}, private=private)
        )
        from_thread.run(searches.stop, asked.token)
    return see(f"/records/{asked.token}#as")


def same_post(visit: Visit) -> Response:
    """``POST /records/{token}/people/{number}``: whether somebody is whom was asked about."""
    asked, number = opened(visit), _number(visit)
    if isinstance(asked, Response):
        return asked
    identity = asked.identity(number)
    if identity is None:
        return gone(visit)
    said = visit.form.get("same", "")
    if said not in tuple(SamePerson):
        return missing(visit, "Say whether it is the same person: go back and choose one of both.")
    answer, leg = SamePerson(said), asked.leg(identity.leg)
    if leg is not None and identity.said is not answer:
        act = "person-confirm" if answer is SamePerson.YES else "person-reject"
        visit.console.recorder(visit.user).fact(
            TrustChange(
                act=act,
                home_community_id=leg.home,
                organization_id=leg.organization_id or None,
                private={
                    "request": asked.token,
                    "exchange": asked.exchange_id,
                    "documents": leg.held_back,
                    "likeness": identity.percent,
                },
            )
        )
        requests = visit.console.clinic.requests
        requests.say(visit.user.login, asked.token, number, answer, visit.now)
    return see(f"/records/{asked.token}#leg-{identity.leg}")


def leg_page(visit: Visit) -> Response:
    """``GET /records/{token}/legs/{number}``: one organization, with the reason as a code."""
    asked = opened(visit)
    if isinstance(asked, Response):
        return asked
    leg = asked.leg(_number(visit))
    if leg is None:
        return gone(visit)
    slot = slot_of(asked, leg, visit.now)
    code = why_code(leg) if slot.why else None
    is_bad = leg.state in (LegState.DECLINED, LegState.UNREACHED, LegState.UNSURE)
    return page(
        visit,
        "records-leg.html",
        title="Outside records",
        at="/records",
        asked=asked,
        leg=leg,
        slot=slot,
        sentence=reason_of(leg) if is_bad else slot.detail or "They are asked now",
        **(explanation(visit, code) if code else {"why": None}),
    )


def _number(visit: Visit) -> int:
    text = str(visit.request.path_params["number"])
    return int(text) if text.isdecimal() and len(text) < 7 else 0  # noqa: PLR2004


def _slot(asked: ClinicRequest, leg: AskedLeg, now: datetime) -> tuple[str, Slot, Markup]:
    slot = slot_of(asked, leg, now)
    return key_of(slot), slot, Markup(drawn(slot, asked.token))  # noqa: S704 - our own template


def _folded(asked: ClinicRequest) -> tuple[AskedLeg, ...]:
    """Those that hold nothing, where there are many organizations and all is over."""
    if asked.progress is Progress.ASKING or len(asked.legs) <= MOST_SHOWN:
        return ()
    return tuple(leg for leg in asked.of_state(LegState.NONE) if not leg.identities)


def _notice(asked: ClinicRequest) -> tuple[str, str] | None:
    if asked.progress is Progress.BROKEN:
        return "failed", _BROKEN
    if asked.progress is Progress.INTERRUPTED:
        return "failed", _INTERRUPTED
    return ("partial", _CUT) if asked.cut else None


def _person(visit: Visit, asked: ClinicRequest) -> Mapping[str, Any]:
    person = asked.demographics
    years = age(person.birth_date, visit.shown(visit.now).date())
    day = born(person.birth_date)
    facts = [
        sex(person.sex),
        f"Born {day}{f', {years} years' if years is not None else ''}" if day else "",
        f"Our record {asked.patient.id}" if asked.patient else "Not found in our own records",
        f"Purpose: {plain_purpose(asked.principal.purpose)}",
    ]
    return {"name": name_of(person), "facts": [each for each in facts if each]}


def _typed(asked: ClinicRequest) -> Sought:
    """The form as it would be typed for the same search."""
    person = asked.demographics
    day = person.birth_date or ""
    code = next((a.postal_code for a in person.addresses if a.postal_code), None)
    typed = {
        "name": name_of(person) if person.names else "",
        "born": f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) >= 8 else "",  # noqa: PLR2004
        "sex": person.sex or "",
        "zip": code or "",
        "number": "",
    }
    return Sought(typed=typed, problems={})


def _compared(visit: Visit, asked: ClinicRequest) -> Compared | None:
    """The identity that was chosen to be looked at, else the first open question."""
    chosen = visit.request.query_params.get("compare", "")
    number = int(chosen) if chosen.isdecimal() and len(chosen) < 7 else 0  # noqa: PLR2004
    identity = asked.identity(number)
    if identity is None:
        identity = next((each for each in asked.identities if each.is_open_question), None)
    leg = asked.leg(identity.leg) if identity else None
    if identity is None or leg is None:
        return None
    theirs = identity.known.demographics or Demographics()
    return Compared(
        number=identity.number,
        leg=leg,
        difference=difference(asked.demographics, theirs),
        lines=lines(asked.demographics, theirs),
        documents=sum(d.identity == identity.number for d in asked.documents),
        said=identity.said.value if identity.said else None,
        at=identity.at,
    )
