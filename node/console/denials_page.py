"""The register of denials: what was refused, why that is in order, and what is still owed."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import date
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from node.console.case_filter import permitted
from node.console.case_forms import actor_of, day_end
from node.console.case_words import clock
from node.console.exchange_list import each_without, peer_word
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page, see
from node.console.second_person import ask
from node.console.time_windows import SPANS
from node.console.wording import transaction_word
from node.governance.case_model import Refusal
from node.governance.confirming import CONFIRM
from node.governance.denials import NEAR, Denial, Side, denial, of_side, register, waiting
from node.governance.exceptions import catalogue, reason_words
from node.governance.throttles import Throttled, throttled
from node.ledger.filter_text import from_query, sentence, to_query
from node.ledger.find import Cursor, LedgerFilter

PAGE: Final = 25
_SHORTEST: Final = 20
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})", re.ASCII)
_SIDES: Final = {
    Side.OURS: "Refusals of ours",
    Side.THEIRS: "Refusals of others",
    Side.FAULTS: "Interference we caused",
    Side.LIMITS: "Turned away at a limit",
}


_LISTENERS: Final = {
    "gateway": "the gateway for peers",
    "fhir": "the FHIR listener",
    "console": "the console",
    "mllp": "the listener for encounters",
}


def denials(visit: Visit) -> Response:
    """``GET /denials``."""
    console = visit.console
    side, rows, following = asked_denials(visit, limit=PAGE)
    owed = waiting(console.engine, now=visit.now)
    chosen = LedgerFilter() if side is Side.LIMITS else asked_conditions(visit)
    base = _address(side, chosen)
    return page(
        visit,
        "denials.html",
        title="Denials",
        at="/denials",
        side=side.value,
        sides=[(each.value, words, _address(each, chosen)) for each, words in _SIDES.items()],
        sentence=sentence(of_side(side, chosen)) if side is not Side.LIMITS else "",
        chips=_chips(side, chosen),
        times=_times(side, chosen),
        narrowed=chosen != LedgerFilter(),
        everything=_address(side, LedgerFilter()),
        peer_address=lambda hcid: _narrowed(side, chosen, "peer", hcid),
        reason_address=lambda code: _narrowed(side, chosen, "reason", code),
        rows=rows,
        owed=[_row(visit, each) for each in owed[:5]],
        owed_in_all=len(owed),
        late=sum(each.due is not None and each.due - visit.now < NEAR for each in owed),
        older=f"{base}&after={following.t}.{following.seq}" if following else None,
        newest=base if "after" in visit.request.query_params else None,
        others=_others(visit, side) if not rows else (),
        listed=catalogue().listed,
    )


def asked_conditions(visit: Visit) -> LedgerFilter:
    """The conditions of the address beside the side, which says how refusals ended and whose.

    Raises:
        OurFault: ``filter-unreadable``.
    """
    query = urlencode(
        [(n, v) for n, v in parse_qsl(visit.request.url.query) if n not in ("side", "after")]
    )
    chosen = permitted(visit, from_query(query)) if query else LedgerFilter()
    return replace(chosen, direction=None, outcome=None, kind=None)


def _address(side: Side, chosen: LedgerFilter) -> str:
    query = to_query(chosen) if side is not Side.LIMITS else ""
    return f"/denials?side={side.value}{f'&{query}' if query else ''}"


def _narrowed(side: Side, chosen: LedgerFilter, name: str, value: str) -> str:
    """The address with one more condition, or another value of one that there is."""
    return _address(side, replace(chosen, **{name: value}))  # type: ignore[arg-type]


def _chips(side: Side, chosen: LedgerFilter) -> list[tuple[str, str]]:
    return [(word, _address(side, rest)) for word, rest in each_without(chosen)]


def _times(side: Side, chosen: LedgerFilter) -> list[tuple[str, str, bool]]:
    """Windows to choose from: words, address, and whether it is the one that is shown."""
    return [
        (words, _address(side, replace(chosen, since=span, until=None)), chosen.since == span)
        for words, span in SPANS.items()
    ]


def _others(visit: Visit, side: Side) -> list[tuple[str, str, str]]:
    """How many the other sides have, as far as one page of them says it."""
    found = []
    for each, words in _SIDES.items():
        if each not in (side, Side.LIMITS):
            read = register(visit.console.engine, visit.console.key, each, limit=PAGE)
            number = f"{len(read.denials)}{'+' if read.following else ''}"
            found.append((each.value, words, number))
    return found


def asked_denials(visit: Visit, *, limit: int) -> tuple[Side, list[dict[str, Any]], Cursor | None]:
    """What an address asks of the register: the side, a page of rows, and where it goes on."""
    asked, console = visit.request.query_params, visit.console
    side = Side(asked["side"]) if asked.get("side") in list(Side) else Side.OURS
    at = _CURSOR.fullmatch(asked.get("after", ""))
    after = Cursor(t=int(at[1]), seq=int(at[2])) if at else None
    if side is Side.LIMITS:
        turned, following = throttled(console.engine, console.key, limit=limit, after=after)
        return side, [_turned(visit, each) for each in turned], following
    chosen = asked_conditions(visit).at(visit.now)
    found = register(console.engine, console.key, side, limit=limit, after=after, chosen=chosen)
    return side, [_row(visit, each) for each in found.denials], found.following


def denial_detail(
    visit: Visit,
    problem: str | None = None,
    *,
    letter_problem: str | None = None,
    asking: Refusal | None = None,
) -> Response:
    """``GET /denials/{seq}``: one refusal, what has to be on file, and the note of a person."""
    found = found_denial(visit)
    if found is None:
        return missing(visit, "The log has no refusal of ours with this number.")
    day = found.entry.time.date()
    return page(
        visit,
        "denial.html",
        title=f"Refusal {found.entry.seq}",
        at="/denials",
        status=400 if problem or letter_problem or asking else 200,
        row=_row(visit, found),
        asking=asking,
        exemptions=list(catalogue().on(day).values()),
        may_note=visit.may("review") and visit.may("denials"),
        problem=problem,
        letter_problem=letter_problem,
        typed=defaultdict(str, visit.form),
        today=f"{visit.shown(visit.now):%Y-%m-%d}",
        listed=catalogue().listed,
    )


def denial_note(visit: Visit) -> Response:
    """``POST /denials/{seq}``: write down what a refusal stands on, and its written answer."""
    found = found_denial(visit)
    if found is None:
        return missing(visit, "The log has no refusal of ours with this number.")
    form = visit.form
    text, typed = form.get("text", "").strip(), form.get("answered", "").strip()
    answered = day_end(visit, typed) if typed else None
    if form.get("exception", "") not in catalogue().on(found.entry.time.date()):
        return denial_detail(visit, "Choose what the refusal stands on.")
    if len(text) < _SHORTEST:
        return denial_detail(visit, f"Write at least {_SHORTEST} characters; this has {len(text)}.")
    if typed and (answered is None or not _is_past(visit, typed, found)):
        return denial_detail(visit, "The day of the answer is between the refusal's and today.")
    visit.console.denials.note(
        found,
        actor_of(visit).author,
        login=visit.user.login,
        exception=form["exception"],
        text=text[:4000],
        answered=answered,
        now=visit.now,
    )
    return see(f"/denials/{found.entry.seq}")


def denial_ask(visit: Visit) -> Response:
    """``POST /denials/{seq}/confirm``: ask a second person to confirm the newest note."""
    found = found_denial(visit)
    if found is None or found.note is None:
        return missing(visit, "There is no refusal of ours with this number and a note.")
    seq = found.entry.seq
    what = {"entry": seq, "note": found.note.number, "exception": found.note.exception}
    asked = ask(visit, CONFIRM, what, str(seq))
    if isinstance(asked, Refusal):
        return denial_detail(visit, asking=asked)
    return see(f"/requests/{asked.number}")


def _is_past(visit: Visit, typed: str, found: Denial) -> bool:
    day = date.fromisoformat(typed)
    return visit.shown(found.entry.time).date() <= day <= visit.shown(visit.now).date()


def found_denial(visit: Visit) -> Denial | None:
    """The refusal that an address is about."""
    number = str(visit.request.path_params["seq"])
    if not re.fullmatch(r"[0-9]{1,15}", number, re.ASCII):
        return None
    return denial(visit.console.engine, visit.console.key, int(number))


def _turned(visit: Visit, each: Throttled) -> dict[str, Any]:
    return {
        "seq": each.entry.seq,
        "first": each.first or each.entry.time,
        "last": each.last or each.entry.time,
        "listener": _LISTENERS.get(each.listener, each.listener),
        "number": each.number,
        "peer": peer_word(visit, each.peer) if each.peer else "",
        "key": bool(each.key),
        "limit": each.limit,
        "code": each.code,
    }


def _row(visit: Visit, each: Denial) -> dict[str, Any]:
    fields = each.entry.fields
    sentence, cite = reason_words(each.reason)
    peer = fields.get("peer")
    stands_on = each.exemption.cite if each.exemption else cite
    names = {user.login: user.name for user in visit.console.users.all()} if each.note else {}
    note = each.note
    return {
        "seq": each.entry.seq,
        "time": each.entry.time,
        "exchange": str(fields["exch"]),
        "is_in": fields["dir"] == "responding",
        "outcome": str(fields["outcome"]),
        "peer": peer_word(visit, str(peer) if peer else None),
        "hcid": str(peer or ""),
        "asked": transaction_word(str(fields["txn"])),
        "reason": each.reason,
        "sentence": sentence,
        "exemption": each.exemption,
        # the refusal's own rule says more, where it is of the same section
        "cite": cite if cite.startswith(stands_on) else stands_on,
        "by": ", ".join(str(fields.get("pol") or "the gateway").split(",")),
        "confirmer": names.get(note.confirmer or "", note.confirmer or "") if note else "",
        "noted_by": names.get(note.who, note.who) if note else "",
        "note": note,
        "due": each.due,
        "clock": clock(each.due, visit.now) if each.due and each.is_open else None,
        "is_open": each.is_open,
    }
