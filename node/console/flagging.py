"""Flagging exchanges, one or several: a case of their own, or evidence of one that there is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from node.console.case_forms import EXCHANGE, actor_of, case_number
from node.console.exchange_list import asked_filter, exchange_list, exchanges_only
from node.console.exchange_page import exchange_detail
from node.console.exchange_selection import VIEW, keep, selected
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page, see
from node.console.sign_on import local_address
from node.console.wording import counted
from node.governance.case_model import Given, Refusal, Verb
from node.governance.case_rows import FLAG, Opening
from node.governance.cases import MOST_AT_ONCE
from node.governance.exchanges import exchange_ids, read_exchange
from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import to_query
from node.ledger.qualifiers import MAX_VALUES
from node.users.selections import MOST

_WORDS: Final = {
    "flag": "Flag {n} as one case",
    "collect": "Add {n} to {case}",
    "export": "Export {n}",
}
"""The verbs for what is selected, as the question has them when not all of it was seen."""

_FIELDS: Final = ("do", "text", "case")
_NO_ROOM: Final = f"At most {MOST} exchanges are selected at once; {{}} found no room."


def flag(visit: Visit) -> Response:
    """``POST /exchanges/{id}/flag``."""
    exchange_id = str(visit.request.path_params["exchange_id"])
    console = visit.console
    if (
        not EXCHANGE.fullmatch(exchange_id)
        or read_exchange(console.engine, console.key, exchange_id) is None
    ):
        return missing(visit, "The log has no exchange with this id.")
    typed, text = visit.form.get("case", ""), visit.form.get("text", "")
    actor = actor_of(visit)
    if not typed.strip():
        opening = Opening(kind=FLAG, text=text, exchanges=(exchange_id,))
        number = console.cases.open(actor, opening, now=visit.now)
        if isinstance(number, Refusal):
            return exchange_detail(visit, problem=number)
        return see(f"/cases/{number}")
    number = case_number(typed) or ""
    given = Given(text=text, evidence=(exchange_id,))
    ruled = console.cases.act(number, Verb.COLLECT, actor, given, now=visit.now)
    if ruled is None:
        none = Refusal(code="case-missing", sentence="There is no such case.", field="case")
        return exchange_detail(visit, problem=none)
    if isinstance(ruled, Refusal):
        return exchange_detail(visit, problem=ruled)
    return see(f"/cases/{number}")


def flag_many(visit: Visit) -> Response:
    """``POST /exchanges``: select, or do something with everything that is selected."""
    does = visit.form.get("do", "")
    ticked, left_out = keep(visit)
    if "go" in visit.form:
        return see(local_address(visit.form["go"]))
    if does == "all":
        return _select_all(visit)
    if does == "none":
        visit.console.selections.clear(visit.user.login, VIEW)
    if does not in _WORDS:
        return see(_here(visit))
    if left_out:
        return exchange_list(visit, bulk_problem=_NO_ROOM.format(left_out))
    return _act(visit, ticked, selected(visit))


def _act(visit: Visit, ticked: frozenset[str], ids: Sequence[str]) -> Response:
    """Do what a button says with what is selected; where not all of it was seen, ask first."""
    if not ids:
        return exchange_list(visit, bulk_problem="No exchange is selected.")
    sure = hashlib.sha256(",".join(ids).encode()).hexdigest()
    if not ticked.issuperset(ids) and visit.form.get("sure") != sure:
        return _ask(visit, len(ids), sure)
    if visit.form["do"] == "export":
        return _export(visit, ids)
    put = _into_case(visit, ids)
    if isinstance(put, str):
        visit.console.selections.clear(visit.user.login, VIEW)
        return see(f"/cases/{put}")
    return exchange_list(visit, bulk_problem=put.sentence)


def _into_case(visit: Visit, ids: Sequence[str]) -> str | Refusal:
    """Put exchanges into a case, a new one or that of the form; its number, or why not.

    A message names ``MOST_AT_ONCE`` exchanges at most: more of them are several messages.
    """
    cases, actor, text = visit.console.cases, actor_of(visit), visit.form.get("text", "")
    parts = [ids[at : at + MOST_AT_ONCE] for at in range(0, len(ids), MOST_AT_ONCE)]
    if visit.form.get("do") == "collect":
        number = case_number(visit.form.get("case", "")) or ""
    else:
        opening = Opening(kind=FLAG, text=text, exchanges=tuple(parts.pop(0)))
        opened = cases.open(actor, opening, now=visit.now)
        if isinstance(opened, Refusal):
            return opened
        number = opened
    for part in parts:
        given = Given(text=text, evidence=tuple(part))
        ruled = cases.act(number, Verb.COLLECT, actor, given, now=visit.now)
        if ruled is None:
            return Refusal(code="case-missing", sentence="There is no such case.", field="case")
        if isinstance(ruled, Refusal):
            return ruled
    return number


def _export(visit: Visit, ids: Sequence[str]) -> Response:
    """On to the form that asks for a file of them."""
    if not visit.may("exports"):
        return exchange_list(visit, bulk_problem="Your role exports nothing.")
    if len(ids) > MAX_VALUES:
        return exchange_list(
            visit,
            bulk_problem=f"An export names {MAX_VALUES} exchanges at most, and {len(ids)} are"
            " selected. Add them to a case, and export its evidence.",
        )
    return see(f"/exports/new?{to_query(LedgerFilter(exchange_id=tuple(ids)))}")


def _select_all(visit: Visit) -> Response:
    """Select the newest exchanges that the filter finds, as many as there is room for."""
    console = visit.console
    chosen = exchanges_only(asked_filter(visit)).at(visit.now)
    found, more = exchange_ids(console.engine, console.key, chosen, limit=MOST)
    left_out = console.selections.change(visit.user.login, VIEW, add=found, now=visit.now)
    if more or left_out:
        said = f"{len(found) - left_out} of those that fit are selected, the newest ones; not all."
        return exchange_list(visit, bulk_problem=f"{said} At most {MOST} are selected at once.")
    return see(_here(visit))


def _ask(visit: Visit, number: int, sure: str) -> Response:
    """Ask before more is done than the person sees ticked: with the number and the verb."""
    form = visit.form
    words = _WORDS[form["do"]].format(
        n=counted(number, "exchange"), case=form.get("case", "").strip() or "no case"
    )
    return page(
        visit,
        "review-sure.html",
        title="Are you sure",
        at="/exchanges",
        crumb="Exchanges",
        each="",
        words=words,
        text=form.get("text", ""),
        fields={**{name: form[name] for name in _FIELDS if name in form}, "sure": sure},
        back=_here(visit),
    )


def _here(visit: Visit) -> str:
    query = visit.request.url.query
    return f"/exchanges?{query}" if query else "/exchanges"
