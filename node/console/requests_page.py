"""Requests for a second person: what waits, what exactly is asked for, and the decision."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import Response

from node.console.anchor_change import ADD, REMOVE, words_of
from node.console.case_words import clock
from node.console.guard import missing
from node.console.parts import Visit
from node.console.proof import unproved
from node.console.rendering import page, see
from node.console.second_person import do, is_done_here, who_of
from node.governance.case_model import Refusal
from node.governance.confirming import CONFIRM
from node.governance.exceptions import catalogue
from node.governance.export_store import VERB as EXPORT
from node.governance.two_person_model import LEAST_TEXT, MOST_TEXT, Request, Step, verbs

_STATES: Final = {
    Step.ASKED: "waits for a second person",
    Step.APPROVED: "approved, not done yet",
    Step.REFUSED: "refused",
    Step.WITHDRAWN: "withdrawn",
    Step.EXPIRED: "over: nobody decided in time",
    Step.DONE: "approved and done",
}
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def requests(visit: Visit) -> Response:
    """``GET /requests``: what waits, as far as the person may ask for it or decide about it."""
    found = visit.console.two_person.waiting(now=visit.now)
    rows = [_row(visit, each) for each in found if _concerns(visit, each)]
    return page(visit, "requests.html", title="Second person", at="/requests", rows=rows)


def request_detail(visit: Visit, problem: Refusal | None = None) -> Response:
    """``GET /requests/{number}``."""
    found = _found(visit)
    if found is None:
        return missing(visit, "There is no such request, or it is none of yours.")
    asked = visit.console.two_person.asked_for(found)
    is_open = found.step in (Step.ASKED, Step.APPROVED) and visit.now < found.until
    mine = found.asker == visit.user.login
    may_decide = verbs()[found.verb].decide in visit.user.rights
    return page(
        visit,
        "request.html",
        title=f"Request {found.number}",
        at="/requests",
        status=400 if problem else 200,
        row=_row(visit, found),
        what=_what(visit, found, asked.what) if asked else [],
        why=asked.text if asked else None,
        can_decide=is_open and found.step is Step.ASKED and may_decide and not mine,
        can_do=is_open and found.step is Step.APPROVED and may_decide,
        can_withdraw=is_open and mine,
        is_open=is_open,
        mine=mine,
        decided_here=is_done_here(found.verb),
        problem=problem,
        least=LEAST_TEXT,
        most=MOST_TEXT,
    )


def request_act(visit: Visit) -> Response:
    """``POST /requests/{number}``: approve, refuse, withdraw, or do what was approved."""
    found = _found(visit)
    if found is None or not is_done_here(found.verb):
        return missing(visit, "There is no such request, or it is none of yours.")
    problem = _acted(visit, found)
    return request_detail(visit, problem) if problem else see(f"/requests/{found.number}")


def _acted(visit: Visit, found: Request) -> Refusal | None:
    two, form, now = visit.console.two_person, visit.form, visit.now
    who = who_of(visit)
    match form.get("verb"):
        case "withdraw":
            ruled = two.withdraw(found.number, who, now=now)
        case "refuse":
            ruled = two.refuse(found.number, who, text=form.get("text", ""), now=now)
        case "approve":
            unsure = unproved(visit)
            if unsure is not None:
                return unsure
            ruled = two.approve(found.number, who, digest=_digest(form.get("digest", "")), now=now)
            if isinstance(ruled, Request):
                return do(visit, ruled)
        case "do":
            if verbs()[found.verb].decide not in who.rights:
                return Refusal(code="right-missing", sentence="You do not have the right to.")
            return unproved(visit) or do(visit, found)
        case _:
            return Refusal(code="verb-unknown", sentence="Choose what to do.")
    return ruled if isinstance(ruled, Refusal) else None


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _found(visit: Visit) -> Request | None:
    text = str(visit.request.path_params["number"])
    found = visit.console.two_person.read(int(text)) if _NUMBER.fullmatch(text) else None
    return found if found is not None and _concerns(visit, found) else None


def _concerns(visit: Visit, request: Request) -> bool:
    verb = verbs()[request.verb]
    return request.asker == visit.user.login or bool({verb.ask, verb.decide} & visit.user.rights)


def _row(visit: Visit, request: Request) -> dict[str, Any]:
    names = {user.login: user.name for user in visit.console.users.all()}
    over = request.step in (Step.ASKED, Step.APPROVED) and visit.now >= request.until
    return {
        "number": request.number,
        "doing": verbs()[request.verb].doing,
        "about": _about(visit, request),
        "asker": names.get(request.asker, request.asker),
        "asked": request.asked,
        "decider": names.get(request.decider or "", request.decider or ""),
        "decided": request.decided,
        "until": request.until,
        "clock": clock(request.until, visit.now),
        "state": _STATES[Step.EXPIRED if over else request.step],
        "digest": request.digest.hex(),
        "seq": request.seq,
    }


def _about(visit: Visit, request: Request) -> tuple[str, str]:
    """The thing in words, and its page."""
    about = request.about or ""
    if request.verb == CONFIRM:
        return f"the refusal of entry {about}", f"/denials/{about}"
    if request.verb.startswith("peer-"):
        return visit.console.peer_name(about) or about, f"/peers/{about}"
    if request.verb in (ADD, REMOVE):
        return f"the CA {about[:16]}…", "/trust#anc"
    if request.verb == EXPORT:
        return f"export {about}", f"/exports/{about}"
    return about, ""


def _what(visit: Visit, request: Request, what: Any) -> list[tuple[str, str]]:
    """What exactly is asked for, in words."""
    if request.verb == CONFIRM:
        found = catalogue().on(visit.now.date()).get(str(what.get("exception")))
        title = f"{found.title}, {found.cite}" if found else str(what.get("exception"))
        return [("Stands on", title), ("Note", f"number {what.get('note')}")]
    if request.verb in (ADD, REMOVE):
        return words_of(what)
    return [("Organization", str(what.get("organization"))), ("HCID", str(what.get("hcid")))]
