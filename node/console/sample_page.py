"""The outcome sample: of each who asked, the share of judged exchanges that were found wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from node.console.case_words import STATES, outcome_sentence
from node.console.detector_words import STATES as SETTINGS
from node.console.parts import Visit
from node.console.rendering import page
from node.console.row_files import Row
from node.governance.detectors.catalogue import SAMPLE
from node.governance.detectors.store import settings
from node.governance.sample_reading import Drawn, Result, drawn_months, drawn_of, results

MOST_ROWS: Final = 30
"""Rows on the page; the files have all."""

_PLAIN: Final = (None, "appropriate")
"""Outcomes of which the verdict says all."""

_VERDICTS: Final = {"hit": ("failed", "wrong"), "miss": ("ok", "in order")}


def sample(visit: Visit) -> Response:
    """``GET /reports/sample``: each who asked; with ``asker``, the exchanges behind its numbers."""
    console = visit.console
    months, chosen = _chosen(visit)
    found = results(console.engine, chosen)
    asked = visit.request.query_params.get("asker", "")
    of = next((each for each in found if each.asker == asked), None)
    names = {user.login: user.name for user in console.users.all()}
    drawn = drawn_of(console.engine, chosen, of.asker, limit=MOST_ROWS + 1) if of else ()
    setting = settings(console.engine)[SAMPLE]
    month = visit.request.query_params.get("month", "")
    month = month if month in months else ""
    return page(
        visit,
        "sample.html",
        title="Outcome sample",
        at="/reports",
        months=months,
        month=month,
        query=f"month={month}&" if month else "",
        of=_row(visit, of) if of else None,
        rows=[_row(visit, each) for each in found[:MOST_ROWS]] if of is None else (),
        more=len(found) > MOST_ROWS if of is None else len(drawn) > MOST_ROWS,
        drawn=[_drawn(each, names) for each in drawn[:MOST_ROWS]],
        setting=SETTINGS[setting.state],
        each=int(setting.limits["exchanges"]),
        may_cases=visit.may("cases"),
        may_exchanges=visit.may("exchanges"),
    )


def sample_rows(visit: Visit) -> tuple[Sequence[Row], str | None]:
    """The numbers of the address as a file."""
    rows = [
        {
            "asker": each.asker,
            "name": _name(visit, each.asker),
            "exchanges": each.exchanges,
            "drawn": each.drawn,
            "judged": each.judged,
            "wrong": each.wrong,
            "neither": each.neither,
            "waiting": each.waiting,
            "share": _share(each.share),
            "low": _share(each.interval[0] if each.interval else None),
            "high": _share(each.interval[1] if each.interval else None),
        }
        for each in results(visit.console.engine, _chosen(visit)[1])
    ]
    return rows, None


def _chosen(visit: Visit) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The months that were drawn, and those of them that the address asks for: one, or all."""
    months = drawn_months(visit.console.engine)
    month = visit.request.query_params.get("month", "")
    return months, (month,) if month in months else months


def _share(of: float | None) -> str | None:
    return None if of is None else f"{of:.4f}"


def _name(visit: Visit, asker: str) -> str:
    if asker == visit.console.own.home_community_id:
        return "We ourselves"
    return visit.console.peer_name(asker) or asker


def _row(visit: Visit, each: Result) -> dict[str, Any]:
    return {"result": each, "name": _name(visit, each.asker), "share": share_words(each)}


def share_words(each: Result) -> str:
    """The share found wrong, and between which shares it lies at 95 %."""
    if each.share is None or each.interval is None:
        return "none judged yet"
    low, high = (round(100 * bound) for bound in each.interval)
    return f"{100 * each.share:.0f} % (95 %: {low} to {high} %)"


def _drawn(each: Drawn, names: dict[str, str]) -> dict[str, Any]:
    mark, words = _VERDICTS.get(each.counts or "", ("partial", "said nothing"))
    if each.counts is None:
        mark = ""
        words = STATES[each.state] if each.state else "no case: drawn in shadow"
    return {
        "drawn": each,
        "mark": mark,
        "words": words,
        "outcome": outcome_sentence(each.outcome) if each.outcome not in _PLAIN else "",
        "who": names.get(each.who or "", each.who or ""),
    }
