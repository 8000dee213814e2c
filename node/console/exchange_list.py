"""The list of exchanges: filters are the address, the sentence and the chips at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from node.console.case_filter import permitted
from node.console.columns import ALL_COLUMNS, USUAL, columns_of
from node.console.coming_from import EXCHANGES
from node.console.exchange_selection import selected, selected_page
from node.console.histogram_drawing import histogram_chart
from node.console.parts import Visit
from node.console.rendering import page
from node.console.wording import counted, listed, outcome_word
from node.errors import OurFault
from node.governance.exceptions import reason_words
from node.governance.exchanges import Exchange, exchange_page, legs_by_outcome
from node.governance.histogram import Histogram, histogram
from node.ledger.filter_text import (
    format_filter,
    from_query,
    of_options,
    parse_filter,
    sentence,
    to_query,
)
from node.ledger.find import Count, Cursor, LedgerFilter, count, newest, oldest
from node.ledger.leaf import Kind
from node.model import Direction, Outcome
from node.policy.purposes import purpose_register
from node.users.selections import MOST

PAGE: Final = 25
_DEFAULT: Final = timedelta(days=1)
_WIDER: Final = (timedelta(days=7), timedelta(days=30), timedelta(days=365))
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})", re.ASCII)
_OWN: Final = frozenset({"after", "open", "q", "seq", "live", "selected"})
_ORDER: Final = [each.value for each in Outcome]
_COUNTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One exchange as the table shows it."""

    exchange: Exchange
    who: str
    purpose: str
    is_open: bool
    number: int
    troubled: tuple[Mapping[str, object], ...]
    quiet: str
    reason: str
    message: str
    rules: str
    strip: tuple[str, ...]
    is_picked: bool

    @property
    def is_in(self) -> bool:
        """Whether we served it."""
        return self.exchange.direction is Direction.RESPONDING


def exchange_list(visit: Visit, *, bulk_problem: str | None = None) -> Response:
    """``GET /exchanges``; ``bulk_problem``: why nothing was done with the selected ones."""
    asked = dict(parse_qsl(visit.request.url.query))
    problem = None
    try:
        chosen = asked_filter(visit)
    except OurFault as fault:
        chosen, problem = LedgerFilter(), fault.sentence
    fixed = exchanges_only(chosen).at(visit.now)
    console = visit.console
    mine, after = "selected" in asked, cursor_of(asked.get("after", ""))
    if mine:
        found = selected_page(visit, after, limit=PAGE)
    else:
        found = exchange_page(console.engine, console.key, fixed, limit=PAGE, after=after)
    base = "selected=on" if mine else to_query(chosen)
    picked = frozenset(selected(visit)) if visit.may("review") else frozenset()
    rows = [_row(visit, each, asked.get("open", ""), picked) for each in found.exchanges]
    counts = rows and not mine
    legs = histogram(console.engine, console.key, fixed, now=visit.now) if counts else None
    following = found.following
    older = f"/exchanges?{base}&after={following.t}.{following.seq}" if following else None
    console.lists.keep(
        visit.user.login,
        EXCHANGES,
        address=f"/exchanges?{visit.request.url.query}",
        things=[each.exchange_id for each in found.exchanges],
        following=older or "",
        now=visit.now,
    )
    return page(
        visit,
        "exchanges.html",
        title="Exchanges",
        at="/exchanges",
        status=400 if bulk_problem else 200,
        bulk_problem=bulk_problem,
        here_query=f"/exchanges?{visit.request.url.query}",
        sentence="The exchanges that you selected." if mine else sentence(chosen),
        chips=[("selected by you", "/exchanges")] if mine else _chips(chosen),
        picked=len(picked),
        elsewhere=len(picked - {each.exchange_id for each in found.exchanges}),
        mine=mine,
        most=MOST,
        facets=_facets(chosen, legs),
        rows=rows,
        problem=problem,
        older=older,
        newest=f"/exchanges?{base}" if "after" in asked else None,
        wider=_wider(visit, chosen) if not rows and not mine else (),
        columns=columns_of(visit),
        usual=columns_of(visit) == USUAL,
        all_columns=ALL_COLUMNS,
        views=console.views.of(visit.user.login),
        query=base,
        conditions=[*parse_qsl(base), *((n, asked[n]) for n in ("after",) if n in asked)],
        chart=histogram_chart(legs) if legs and "after" not in asked else None,
        live="live" in asked,
        live_address=f"/exchanges?{base}{'' if 'live' in asked else '&live=on'}",
        here_address=f"/exchanges?{base}{'&live=on' if 'live' in asked else ''}",
        newer=f"/exchanges/newer?{base}&seq={newest(console.engine)}",
        aged=_aged(visit, fixed) if not rows else None,
        never=not rows and _is_nothing(visit),
        export=f"/exports/new?{base}" if counts and visit.may("exports") else None,
        fields=_fields(chosen),
    )


def asked_filter(visit: Visit) -> LedgerFilter:
    """The filter of the list's address, or the default window. Raises ``filter-unreadable``."""
    query = _conditions(visit)
    return permitted(visit, from_query(query)) if query else LedgerFilter(since=_DEFAULT)


def _conditions(visit: Visit) -> str:
    return urlencode([(n, v) for n, v in parse_qsl(visit.request.url.query) if n not in _OWN])


def exchanges_only(chosen: LedgerFilter) -> LedgerFilter:
    """The same for exchanges alone."""
    return replace(chosen, kind=Kind.EXCHANGE.value)


def cursor_of(text: str) -> Cursor | None:
    """Where a page begins, as addresses say it."""
    found = _CURSOR.fullmatch(text)
    return Cursor(t=int(found[1]), seq=int(found[2])) if found else None


def _row(visit: Visit, exchange: Exchange, opened: str, picked: frozenset[str]) -> Row:
    bad = [leg for leg in exchange.legs if leg.outcome not in (Outcome.OK, Outcome.OK_EMPTY)]
    good = legs_by_outcome([leg for leg in exchange.legs if leg not in bad])
    words = [f"{number} {outcome_word(outcome)}" for outcome, number in good.items()]
    return Row(
        exchange=exchange,
        is_picked=exchange.exchange_id in picked,
        who=who_of(visit, exchange),
        purpose=purpose_word(exchange.purpose),
        is_open=opened in (exchange.exchange_id, *(str(leg.entry.seq) for leg in exchange.legs)),
        # the number of an entry of it is a shorter name of it than its id
        number=exchange.legs[0].entry.seq,
        troubled=tuple(
            {
                "outcome": leg.outcome.value,
                "peer": peer_word(visit, leg.text("peer")),
                "peer_page": peer_address(visit, leg.text("peer")),
                "transaction": leg.text("txn"),
                "reason": leg.text("reason"),
                "reason_words": leg_reason(leg.text("reason")),
                "documents": leg.documents,
                "took": leg.took,
            }
            for leg in bad[:8]
        ),
        reason=next((reason for leg in bad if (reason := leg.text("reason"))), ""),
        message=next((msg for leg in exchange.main if (msg := leg.text("msg"))), ""),
        rules=", ".join(sorted({rule for leg in exchange.legs if (rule := leg.text("pol"))})),
        strip=tuple(sorted((leg.outcome.value for leg in exchange.legs), key=_ORDER.index)),
        quiet=f"{counted(sum(good.values()), 'more leg')}: {listed(words)}." if words else "",
    )


def who_of(visit: Visit, exchange: Exchange) -> str:
    """Who asked: our person where we asked, the other organisation where we served."""
    if exchange.direction is Direction.RESPONDING:
        return peer_word(visit, exchange.legs[0].text("peer"))
    who = exchange.who
    return str(who.get("subject_id") or who.get("user_id") or "not readable any more")


def peer_word(visit: Visit, hcid: str | None) -> str:
    """The directory's name of a home community, or its OID."""
    if hcid is None:
        return "unknown sender"
    return visit.console.peer_name(hcid) or hcid.removeprefix("urn:oid:")


def peer_address(visit: Visit, hcid: str | None) -> str:
    """The address of a peer's page; empty where there is none for who is looking."""
    if hcid is None or not visit.may("peers") or visit.console.peer_name(hcid) is None:
        return ""
    return f"/peers/{hcid.removeprefix('urn:oid:')}"


def leg_reason(code: str | None) -> str:
    """What a leg's reason means; empty for a code that has no sentence of ours."""
    sentence, cite = reason_words(code)
    return sentence if cite else ""


def purpose_word(code: str | None) -> str:
    """The purpose's name."""
    found = purpose_register().purposes.get(code or "")
    return found.code.display or found.code.code if found else (code or "not stated")


def _chips(chosen: LedgerFilter) -> list[tuple[str, str]]:
    """Each condition as typed, and the address of the list without it."""
    return [(word, f"?{to_query(rest) or 'since=1d'}") for word, rest in each_without(chosen)]


def each_without(chosen: LedgerFilter) -> list[tuple[str, LedgerFilter]]:
    """Each condition as typed, and the filter without it."""
    words = _split(format_filter(chosen))
    return [
        (word, parse_filter(" ".join(words[:place] + words[place + 1 :])))
        for place, word in enumerate(words)
    ]


_WORDS: Final = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')


def _split(text: str) -> list[str]:
    return _WORDS.findall(text)


def _facets(chosen: LedgerFilter, legs: Histogram | None) -> list[tuple[str, Count, str]]:
    """How many legs ended how under this filter, each with the address that shows only them.

    They are those of the picture over time, which reads the newest ones only; a count of its own
    for each outcome would read all that the filter chooses, several times.
    """
    if chosen.outcome is not None or legs is None:
        return []
    found = []
    for outcome in Outcome:
        number = sum(span.numbers.get(outcome.value, 0) for span in legs.spans)
        if number:
            narrowed = of_options([("outcome", outcome.value)], chosen)
            counted = Count(number=number, capped=legs.capped)
            found.append((outcome.value, counted, f"?{to_query(narrowed)}"))
    return found


def _wider(visit: Visit, chosen: LedgerFilter) -> list[tuple[str, Count, str]]:
    """What a wider window would have found, where the window is a recent one."""
    if not isinstance(chosen.since, timedelta):
        return []
    found = []
    for span in _WIDER:
        if span <= chosen.since:
            continue
        wide = replace(chosen, since=span)
        fixed = exchanges_only(wide).at(visit.now)
        number = count(visit.console.engine, fixed, key=visit.console.key, limit=_COUNTS)
        if number.number:
            found.append((f"{span.days} days", number, f"/exchanges?{to_query(wide)}"))
    return found


def _is_nothing(visit: Visit) -> bool:
    everything = exchanges_only(LedgerFilter())
    return not count(visit.console.engine, everything, key=visit.console.key, limit=1).number


def over_time(visit: Visit) -> Response:
    """``GET /exchanges/over-time``: the numbers of the list's picture, each leading to its legs."""
    chosen = asked_filter(visit)
    fixed = exchanges_only(chosen).at(visit.now)
    found = histogram(visit.console.engine, visit.console.key, fixed, now=visit.now)
    spans = [
        (span, f"/exchanges?{to_query(replace(chosen, since=span.begins, until=span.ends))}")
        for span in (found.spans if found else ())
        if span.number
    ]
    return page(
        visit,
        "over-time.html",
        title="Legs over time",
        at="/exchanges",
        sentence=sentence(chosen),
        found=found,
        spans=spans,
        chart=histogram_chart(found) if found else None,
        back=f"/exchanges?{to_query(chosen)}",
    )


def list_view(visit: Visit) -> Response:
    """``GET /exchanges/view``: what may be done with a view of the list: save it, and the like."""
    query = to_query(asked_filter(visit))
    return page(
        visit,
        "exchanges-view.html",
        title="This view",
        at="/exchanges",
        sentence=sentence(asked_filter(visit)),
        columns=columns_of(visit),
        all_columns=ALL_COLUMNS,
        views=visit.console.views.of(visit.user.login),
        query=query,
        back=f"/exchanges?{query}",
    )


def _aged(visit: Visit, fixed: LedgerFilter) -> datetime | None:
    """When the log begins, where a filter ends before that."""
    begins = oldest(visit.console.engine)
    ends = fixed.until if isinstance(fixed.until, datetime) else None
    return begins if begins is not None and ends is not None and ends <= begins else None


def _fields(chosen: LedgerFilter) -> dict[str, str]:
    """What the filter form shows as chosen."""
    return {
        qualifier.name: term.any_of[0]
        for qualifier, term in chosen.terms()
        if len(term.any_of) == 1 and not qualifier.personal
    }
