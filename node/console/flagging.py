"""Flagging exchanges, one or several: a case of their own, or evidence of one that there is."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response

from node.console.case_forms import EXCHANGE, actor_of, case_number
from node.console.exchange_list import exchange_list
from node.console.exchange_page import exchange_detail
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import see
from node.governance.case_model import Given, Refusal, Verb
from node.governance.case_rows import FLAG, Opening
from node.governance.cases import MOST_AT_ONCE
from node.governance.exchanges import exchanges_of, read_exchange

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


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
    """``POST /exchanges``: flag the selected exchanges as one case, or add them to one."""
    names = [name.removeprefix("x-") for name in visit.form if name.startswith("x-")]
    numbers = [int(name) for name in names if _NUMBER.fullmatch(name)][:MOST_AT_ONCE]
    ids = tuple(exchanges_of(visit.console.engine, numbers))
    if not ids:
        return exchange_list(visit, bulk_problem="No exchange is selected.")
    cases, actor, text = visit.console.cases, actor_of(visit), visit.form.get("text", "")
    if visit.form.get("do") != "collect":
        opened = cases.open(actor, Opening(kind=FLAG, text=text, exchanges=ids), now=visit.now)
        if isinstance(opened, Refusal):
            return exchange_list(visit, bulk_problem=opened.sentence)
        return see(f"/cases/{opened}")
    number = case_number(visit.form.get("case", "")) or ""
    given = Given(text=text, evidence=ids)
    ruled = cases.act(number, Verb.COLLECT, actor, given, now=visit.now)
    if ruled is None:
        return exchange_list(visit, bulk_problem="There is no such case.")
    if isinstance(ruled, Refusal):
        return exchange_list(visit, bulk_problem=ruled.sentence)
    return see(f"/cases/{number}")
