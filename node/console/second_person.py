"""What needs two people at the console: asking, deciding about it, and doing what was approved.

Peers are suspended and reinstated, refusals confirmed, and CAs trusted or not any more, by one
person who asks and another one who approves (``node.governance.two_person`` has the rules). Both
prove themselves again. What was approved is done at once, by whoever approved it; where that fails,
the request stays approved and can be done again until its time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from node.console import anchor_change
from node.console.case_forms import actor_of
from node.console.parts import Visit
from node.console.proof import unproved
from node.errors import CodedError
from node.governance.case_model import Refusal
from node.governance.confirming import CONFIRM, confirm_denial
from node.governance.two_person_model import MOST_TEXT, Request, Who
from node.ledger.trust_change import TrustChange

SUSPEND: Final = "peer-suspend"
REINSTATE: Final = "peer-reinstate"

Do = Callable[[Visit, Request, Mapping[str, Any]], Refusal | None]


def who_of(visit: Visit) -> Who:
    """Who is looking, for the rules of two people."""
    return Who(login=visit.user.login, rights=visit.user.rights, author=actor_of(visit).author)


def ask(visit: Visit, verb: str, what: Mapping[str, object], about: str) -> Request | Refusal:
    """Ask for something with the reason of the form's ``text``, having proved oneself again."""
    refusal = unproved(visit)
    if refusal is not None:
        return refusal
    text = visit.form.get("text", "").strip()[: MOST_TEXT + 1]
    return visit.console.two_person.request(
        verb, what, who_of(visit), text=text, about=about, now=visit.now
    )


def do(visit: Visit, request: Request) -> Refusal | None:
    """Do what was approved; why not, where it cannot be done."""
    asked = visit.console.two_person.asked_for(request)
    doing = _DOING.get(request.verb)
    if asked is None or doing is None:
        return Refusal(code="request-unreadable", sentence="What was asked for cannot be read.")
    try:
        return doing(visit, request, asked.what)
    except CodedError as error:
        return Refusal(code=error.code, sentence=error.sentence)


def is_done_here(verb: str) -> bool:
    """Whether the console does what this verb asks for on the requests' own page."""
    return verb in _DOING


def _change_peer(act: str, *, suspended: bool) -> Do:
    def doing(visit: Visit, request: Request, what: Mapping[str, Any]) -> Refusal | None:
        console = visit.console
        organization, why = str(what["organization"]), str(what["reason"])
        change = TrustChange(
            act=act,
            organization_id=organization,
            home_community_id=str(what["hcid"]),
            private={"reason": why, "asked_by": request.asker, "request": request.number},
        )
        with console.recorder(visit.user).change(change) as made:
            ruled = console.two_person.take(
                request.number, request.verb, what, who=actor_of(visit).author, now=visit.now
            )
            if not isinstance(ruled, Request):
                made.refuse(ruled.code if ruled else "request-missing")
                return ruled or Refusal(code="request-missing", sentence="There is no request.")
            local = console.directory.local
            if suspended:
                local.suspend(organization, why, now=visit.now)
            else:
                local.resume(organization, now=visit.now)
        return None

    return doing


def _confirm(visit: Visit, request: Request, what: Mapping[str, Any]) -> Refusal | None:
    console = visit.console
    ruled = confirm_denial(
        console.engine, console.two_person, request.number, what,
        author=actor_of(visit).author, login=visit.user.login, now=visit.now,
    )  # fmt: skip
    return None if isinstance(ruled, Request) else ruled


_DOING: Final[Mapping[str, Do]] = {
    SUSPEND: _change_peer("peer-suspend", suspended=True),
    REINSTATE: _change_peer("peer-resume", suspended=False),
    CONFIRM: _confirm,
    anchor_change.ADD: anchor_change.add,
    anchor_change.REMOVE: anchor_change.remove,
}
