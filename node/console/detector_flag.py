"""One flag: its sentence, the exchanges it rests on, and what a person may make of it."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from node.console.case_forms import actor_of
from node.console.detector_words import STATES
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page, see
from node.errors import OurFault
from node.governance.detectors.catalogue import detectors
from node.governance.detectors.flags import Flag, entries_of, read_flag, suppressions
from node.governance.detectors.model import Subject
from node.governance.exchanges import read_exchange

_SHOWN: Final = 25
_LONGEST: Final = 15


def flag_page(visit: Visit, problem: str | None = None) -> Response:
    """``GET /flags/{number}``."""
    flag = _flag(visit)
    if flag is None:
        return missing(visit, "There is no flag with this number.")
    console = visit.console
    entries = entries_of(console.engine, [flag.id]).get(flag.id, ())
    ids = list(dict.fromkeys(exchange for _, exchange in reversed(entries)))
    found = [read_exchange(console.engine, console.key, each) for each in ids[:_SHOWN]]
    standing = suppressions(
        console.engine, now=visit.now, reader=visit.mark, detector=flag.detector
    )
    return page(
        visit,
        "flag.html",
        title=f"Flag {flag.id}",
        at="/review",
        status=400 if problem else 200,
        flag=flag,
        state=STATES[flag.state],
        detector=detectors().get(flag.detector),
        sentence=console.watching.names.sentence(flag),
        hcid=flag.about if flag.subject == Subject.PEER else None,
        who=console.watching.names.who(flag),
        exchanges=[each for each in found if each is not None],
        in_all=len(ids),
        suppression=next((each for each in standing if each.about == flag.about), None),
        may_act=visit.may("review"),
        problem=problem,
        typed=visit.form,
    )


def flag_act(visit: Visit) -> Response:
    """``POST /flags/{number}``: make a case of it, keep its like out for a time, or end that."""
    flag = _flag(visit)
    if flag is None:
        return missing(visit, "There is no flag with this number.")
    watching, actor, form = visit.console.watching, actor_of(visit), visit.form
    try:
        match form.get("do"):
            case "case":
                number = flag.case_number or watching.routing.into_case(
                    flag, now=visit.now, actor=actor
                )
                return see(f"/cases/{number}")
            case "suppress":
                watching.detectors.suppress(
                    flag,
                    actor.author,
                    login=visit.user.login,
                    days=_number(form.get("days", "")),
                    reason=form.get("reason", ""),
                    now=visit.now,
                )
            case "end":
                watching.detectors.end(
                    _number(form.get("suppression", "")), actor.author, now=visit.now
                )
            case _:
                return missing(visit, "There is no such thing to do to a flag.")
    except OurFault as fault:
        return flag_page(visit, fault.sentence)
    return see(f"/flags/{flag.id}")


def _flag(visit: Visit) -> Flag | None:
    text = str(visit.request.path_params["number"])
    if not text.isascii() or not text.isdecimal() or len(text) > _LONGEST:
        return None
    return read_flag(visit.console.engine, int(text), reader=visit.mark)


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST else 0
