"""Periodic reports: choose a period, read the report with what opens its rows, take it along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from node.console.parts import Visit
from node.console.rendering import SECURITY_HEADERS, page
from node.errors import SettingsError
from node.governance.qhin_files import MEDIA, facts_of, make, notes_of, title_of
from node.governance.qhin_model import Part, Report, rules
from node.governance.qhin_period import How, last_whole, read_period, read_windows, recent
from node.governance.qhin_reading import Wanted
from node.governance.qhin_stated import read_stated
from node.ledger.filter_text import to_query

MOST_ROWS: Final = 100
"""Rows of a part on the page; the files have all."""

_MONTHS: Final = 14
_QUARTERS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A report that is asked for, or what is amiss with how."""

    how: How
    report: Report | None = None
    problem: str | None = None


def reports(visit: Visit) -> Response:
    """``GET /reports``: the choice, and below it the report that is chosen."""
    fields = visit.request.query_params
    asked = _read(visit, fields)
    return _shown(visit, asked, fields)


def report_file(visit: Visit) -> Response:
    """``POST /reports``: the report as a file; the log says so before it leaves."""
    asked = _read(visit, visit.form)
    how = visit.form.get("as", "")
    if asked.report is None or how not in MEDIA:
        problem = asked.problem or "Choose a period and one of the three files."
        return _shown(visit, _Asked(how=asked.how, problem=problem), visit.form)
    made = make(asked.report, how)
    visit.console.recorder(visit.user).fact(made.change)
    name = f"{asked.how.value}-{asked.report.period.text}.{how}"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "content-type": MEDIA[how],
        "cache-control": "no-store",
        **SECURITY_HEADERS,
    }
    return Response(made.data, headers=headers)


def _read(visit: Visit, fields: Mapping[str, str]) -> _Asked:
    typed = fields.get("report", "")
    how = How(typed) if typed in list(How) else How.MONTHLY
    if not typed:
        return _Asked(how=how)
    table = rules()["stated"]
    names = (*table["organizations"], *table["people"]) if how is How.QUARTERLY else ()
    try:
        wanted = Wanted(
            period=read_period(how, fields.get("period", "")),
            by=visit.user.login,
            now=visit.now,
            stated=read_stated((name, fields.get(name, "")) for name in names),
            planned=read_windows(fields.get("planned", "")),
        )
    except SettingsError as error:
        return _Asked(how=how, problem=error.sentence)
    return _Asked(how=how, report=visit.console.qhin.report(wanted))


def _shown(visit: Visit, asked: _Asked, fields: Mapping[str, str]) -> Response:
    report = asked.report
    table = rules()["stated"]
    return page(
        visit,
        "reports.html",
        title=title_of(report) if report else "Reports",
        at="/reports",
        status=400 if asked.problem else 200,
        how=asked.how.value,
        report=report,
        heading=title_of(report) if report else None,
        facts=facts_of(report) if report else (),
        parts=[_part(visit, each) for each in report.parts] if report else (),
        months=[each.text for each in recent(How.MONTHLY, visit.now, _MONTHS)],
        quarters=[each.text for each in recent(How.QUARTERLY, visit.now, _QUARTERS)],
        chosen=fields.get("period") or last_whole(asked.how, visit.now).text,
        planned=fields.get("planned", ""),
        numbers=[
            (code, words, fields.get(code, ""))
            for code, words in (*table["organizations"].items(), *table["people"].items())
        ],
        problem=asked.problem,
        listed=rules()["listed"],
    )


def _part(visit: Visit, part: Part) -> dict[str, object]:
    rows = [
        (
            row.cells,
            f"/exchanges?{to_query(row.rows)}" if row.rows and visit.may("exchanges") else None,
        )
        for row in part.rows[:MOST_ROWS]
    ]
    return {
        "part": part,
        "notes": notes_of(part),
        "rows": rows,
        "more": len(part.rows) - len(rows),
    }
