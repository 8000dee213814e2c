"""One exchange: a sentence, the eight facts, its timeline, legs, policy and integrity."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import timedelta
from typing import Final

from starlette.responses import Response

from node.console.around import around
from node.console.case_words import STATES, heading
from node.console.coming_from import EXCHANGES, steps
from node.console.drawing import Bar, waterfall
from node.console.exchange_list import (
    leg_reason,
    peer_address,
    peer_word,
    purpose_word,
    who_of,
)
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page
from node.console.wording import counted, listed, outcome_word, transaction_word
from node.governance.case_model import Refusal
from node.governance.case_reading import cases_about
from node.governance.exchanges import Exchange, Leg, legs_by_outcome, read_exchange
from node.ledger.bodies import kept_of
from node.ledger.row_check import GroupState
from node.ledger.show import Shown, show
from node.model import Direction, Outcome

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOST_SHOWN: Final = 100


def exchange_detail(visit: Visit, *, problem: Refusal | None = None) -> Response:
    """``GET /exchanges/{id}``; ``problem`` is why flagging it was refused."""
    exchange_id = visit.request.path_params["exchange_id"]
    console = visit.console
    found = (
        read_exchange(console.engine, console.key, exchange_id)
        if _ID.fullmatch(exchange_id)
        else None
    )
    if found is None:
        return missing(visit, "The log has no exchange with this id.")
    legs = [_leg(visit, leg) for leg in found.legs[:_MOST_SHOWN]]
    return page(
        visit,
        "exchange.html",
        title=f"Exchange {exchange_id[:8]}",
        at="/exchanges",
        exchange=found,
        sentence=_sentence(visit, found),
        facts=_facts(visit, found),
        legs=legs,
        chart=waterfall([_bar(visit, found, leg) for leg in found.legs[:_MOST_SHOWN]]),
        strip=[leg.outcome.value for leg in found.legs],
        is_in=found.direction is Direction.RESPONDING,
        left_out=len(found.legs) - len(legs),
        around=around(visit, found),
        cases=_cases(visit, exchange_id),
        links=console.asked_anew.links(exchange_id),
        kept=kept_of(console.engine, [leg.entry.seq for leg in found.legs[:_MOST_SHOWN]]),
        steps=steps(visit, EXCHANGES, exchange_id),
        problem=problem,
        typed=defaultdict(str, visit.form),
        status=200 if problem is None else 400,
    )


def _cases(visit: Visit, exchange_id: str) -> list[dict[str, object]]:
    """The cases about it, for whoever may read them."""
    if not visit.may("cases"):
        return []
    found = cases_about(visit.console.engine, visit.console.key, exchange_id, reader=visit.mark)
    return [
        {"number": case.number, "state": STATES[case.state], "text": heading(case.text)}
        for case in found
    ]


def _sentence(visit: Visit, exchange: Exchange) -> dict[str, str]:
    """The parts of the page's sentence: who, whom, why, and what came of it."""
    kinds = {transaction_word(str(leg.text("txn"))).lower() for leg in exchange.legs}
    counts = legs_by_outcome(exchange.legs)
    peers = {leg.text("peer") for leg in exchange.main}
    if exchange.direction is Direction.RESPONDING:
        whom = visit.console.own.name
    elif len(peers) == 1:
        whom = peer_word(visit, exchange.main[0].text("peer"))
    else:
        whom = f"{len(peers)} peers"
    ended = [f"{number} {outcome_word(outcome)}" for outcome, number in counts.items()]
    return {
        "who": who_of(visit, exchange),
        "whom": whom,
        "what": listed(sorted(kinds)),
        "why": purpose_word(exchange.purpose),
        "ended": f"{counted(len(exchange.legs), 'leg')}: {listed(ended)}; "
        f"{counted(exchange.documents, 'document')}.",
    }


def _facts(visit: Visit, exchange: Exchange) -> list[tuple[str, str, str]]:
    """The eight facts, as (name, words, code)."""
    who, first = exchange.who, exchange.legs[0]
    inbound = exchange.direction is Direction.RESPONDING
    groups = {name for leg in exchange.legs for name in ("query", "docs") if leg.text(f"c_{name}")}
    left = {
        True: f"{counted(exchange.documents, 'document')} named or sent",
        False: "what identifies the person, and the question; no record content",
    }[inbound]
    came = {
        True: "the question" if "query" in groups else "nothing that could be read",
        False: counted(exchange.documents, "document"),
    }[inbound]
    rules = sorted({rule for leg in exchange.legs for rule in (leg.text("pol") or "").split(",")})
    return [
        ("Who", str(who.get("subject_id") or "not readable any more"), _role(who)),
        ("On behalf of", str(who.get("organization") or peer_word(visit, first.text("peer"))), ""),
        ("About whom", "", exchange.patient or ""),
        ("Why", purpose_word(exchange.purpose), exchange.purpose or ""),
        ("Authority", _authority(first), ""),
        ("What left", left, ""),
        ("What came", came, ""),
        ("Decision", _decision(exchange), ", ".join(rule for rule in rules if rule)),
    ]


def _role(who: object) -> str:
    role = who.get("role") if isinstance(who, dict) else None
    return str(role.get("display") or role.get("code") or "") if isinstance(role, dict) else ""


def _authority(leg: Leg) -> str:
    bound = leg.text("bind")
    words = "The purpose is one that both directory entries list"
    return f"{words}; keys bound by {bound}" if bound else words


def _decision(exchange: Exchange) -> str:
    declined = [leg for leg in exchange.legs if leg.outcome is Outcome.DECLINED]
    if not declined:
        return "Permitted"
    reasons = sorted({leg.text("reason") or "no reason given" for leg in declined})
    return f"Declined: {', '.join(reasons)}"


def _leg(visit: Visit, leg: Leg) -> dict[str, object]:
    console = visit.console
    shown = show(console.engine, leg.entry.seq, console.key)
    return {
        "leg": leg,
        "outcome": leg.outcome.value,
        "peer": peer_word(visit, leg.text("peer")),
        "peer_page": peer_address(visit, leg.text("peer")),
        "transaction": leg.text("txn"),
        "reason": leg.text("reason"),
        "reason_words": leg_reason(leg.text("reason")),
        "message": leg.text("msg"),
        "seq": leg.entry.seq,
        "findings": " ".join(shown.findings) if shown else "It is gone since.",
        "erased": _erased(shown),
        "began": leg.entry.time,
    }


def _erased(shown: Shown | None) -> str:
    states = shown.states.items() if shown else ()
    return listed([name for name, state in states if state is GroupState.ERASED])


def _bar(visit: Visit, exchange: Exchange, leg: Leg) -> Bar:
    begins = (leg.entry.time - exchange.began) / timedelta(milliseconds=1)
    words = outcome_word(leg.outcome)
    if leg.documents:
        words = counted(leg.documents, "document")
    elif leg.outcome is Outcome.OK:
        words = "found"
    return Bar(
        name=peer_word(visit, leg.text("peer")),
        outcome=leg.outcome.value,
        words=words,
        begins=round(begins),
        took=leg.took,
    )
