"""Asking anew what an exchange asked: a new exchange, under the authority of who asks now.

What was asked with comes from the earlier exchange's private group; purpose and reason are given
anew, and the treatment relationship is looked at as for any search. Nothing is sent again: ids,
assertion and time are new, and the two exchanges are linked both ways.

The right is ``ask``. With it alone a person asks anew what they asked themselves; what another one
asked is only for who may read exchanges too, for nobody else may learn that there is such a one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response

from node.console.case_forms import actor_of
from node.console.clinic.asking import offered, plain_purpose, principal_of, purposes_of, whom_of
from node.console.clinic.beginning import begin
from node.console.clinic.find_form import Sought
from node.console.clinic.searching import Network
from node.console.guard import missing
from node.console.parts import Visit
from node.console.proof import unproved
from node.console.rendering import page, see
from node.console.revealing import LEAST_WHY, MOST_WHY
from node.governance.case_model import Refusal
from node.governance.exchanges import Exchange, read_exchange
from node.governance.person import person_of
from node.model import Demographics, Direction, Principal

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NOT_OURS: Final = "Only what we asked can be asked anew."
_GONE: Final = "What was asked with is not in the log, or not any more. Search for the patient."
_AWAY: Final = "This process of the node does not ask others. Your administrator knows which does."
_BUSY: Final = "Too many searches run now. Wait for one of them to end, or stop it."
_JUST_NOW: Final = "You asked this a moment ago. Wait a minute before it is asked anew."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The earlier exchange, and whom it was about."""

    exchange: Exchange
    demographics: Demographics = field(repr=False)


def ask_anew(visit: Visit) -> Response:
    """``GET`` and ``POST /exchanges/{id}/anew``."""
    asked = _asked(visit)
    if isinstance(asked, str):
        return missing(visit, asked)
    if visit.request.method != "POST":
        return _page(visit, asked)
    why = visit.form.get("why", "").strip()
    if not LEAST_WHY <= len(why) <= MOST_WHY:
        sentence = f"Write {LEAST_WHY} to {MOST_WHY} characters on why; this has {len(why)}."
        return _page(visit, asked, Refusal(code="text-length", sentence=sentence, field="why"))
    begun = unproved(visit) or _begun(visit, asked, why)
    return _page(visit, asked, begun) if isinstance(begun, Refusal) else see(f"/records/{begun}")


def _asked(visit: Visit) -> _Asked | str:
    """What can be asked anew, or why there is nothing."""
    exchange_id = str(visit.request.path_params["exchange_id"])
    console = visit.console
    exchange = None
    if _ID.fullmatch(exchange_id):
        exchange = read_exchange(console.engine, console.key, exchange_id)
    if exchange is None or not (visit.may("exchanges") or _is_own(visit, exchange)):
        return "The log has no exchange with this id."
    if exchange.direction is not Direction.INITIATING:
        return _NOT_OURS
    known = person_of(console.engine, console.key, exchange).demographics
    return _GONE if known is None else _Asked(exchange=exchange, demographics=known)


def _is_own(visit: Visit, exchange: Exchange) -> bool:
    """Whether who is looking asked it at this console: an EHR's users may have the same logins."""
    who, user = exchange.who, visit.user
    asked = who.get("user_id") == user.login and who.get("subject_id") == user.name
    return asked and exchange.direction is Direction.INITIATING


def _begun(visit: Visit, asked: _Asked, why: str) -> Refusal | str:
    """Begin the new search and link it; the token of its request."""
    console, clinic = visit.console, visit.console.clinic
    network, searches = clinic.network, clinic.searches
    if network is None or searches is None:
        return _refusal("asks-nobody", _AWAY)
    principal = _principal(visit, network)
    if isinstance(principal, Refusal):
        return principal
    whom = whom_of(Sought(typed={}, demographics=asked.demographics, problems={}), clinic)
    if whom is None:
        return _refusal("nobody", _GONE)
    token = begin(visit, network, searches, principal=principal, whom=whom)
    request = clinic.requests.of(visit.user.login, token, visit.now) if token else None
    if token is None or request is None:
        return _refusal("too-many", _BUSY)
    earlier = asked.exchange
    if request.exchange_id == earlier.exchange_id:
        return _refusal("just-now", _JUST_NOW)
    console.asked_anew.note(
        earlier.exchange_id,
        request.exchange_id,
        actor_of(visit).author,
        why=why,
        patient=f"~{earlier.patient}" if earlier.patient else "",
        now=visit.now,
    )
    return token


def _principal(visit: Visit, network: Network) -> Principal | Refusal:
    """Who asks, for the purpose that was chosen."""
    chosen = visit.form.get("purpose", "")
    purpose = next((each for each in purposes_of(visit.user) if each.code == chosen), None)
    principal = principal_of(visit.user, purpose, visit.console.own) if purpose else None
    if principal is None:
        return _refusal("purpose-missing", "Choose a purpose.")
    decision = network.initiator.may_ask(principal)
    return principal if decision.permitted else _refusal("not-permitted", decision.sentence or "")


def _refusal(code: str, sentence: str) -> Refusal:
    return Refusal(code=code, sentence=sentence, field="purpose")


def _page(visit: Visit, asked: _Asked, problem: Refusal | None = None) -> Response:
    purposes = offered(visit)
    return page(
        visit,
        "ask-anew.html",
        title="Ask anew",
        at="/exchanges" if visit.may("exchanges") else "/records",
        status=200 if problem is None else 400,
        exchange=asked.exchange,
        purposes=[(each.code, plain_purpose(each)) for each in purposes],
        problem=problem,
        typed_why=visit.form.get("why", "")[:MOST_WHY],
        typed_purpose=visit.form.get("purpose", ""),
        least=LEAST_WHY,
        most=MOST_WHY,
    )
