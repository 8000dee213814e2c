"""The scorecard on the pages of a peer, its days as a small picture, and the way to their rows.

A number's link is short (``?n=30.answered``): it leads on to the list of exchanges with the filter
that the number was counted by. So a page of a hundred numbers stays small, and the list says in its
own sentence what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import Response

from node.console.exchange_list import purpose_word
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import see
from node.console.wording import transaction_word
from node.errors import CodedError
from node.governance.measures import EVERY, MEASURES, Measure, of_deviation, of_purpose, of_time
from node.governance.scorecard import CATCH_UP, WINDOWS, Day, Tallies, day_of, tallies
from node.governance.tallying import DAY_MS
from node.ledger import leaf
from node.ledger.filter_text import to_query
from node.model import Direction

SPARK_DAYS: Final = 30
_UNKNOWN: Final = "The scorecard has no such number."
_STEP: Final = 8
_BAR: Final = 6
_HIGH: Final = 30
_LOW: Final = 12
_LONGEST: Final = 80
_DAY: Final = re.compile(r"d[0-9]{1,5}", re.ASCII)


def brought_up(visit: Visit) -> bool:
    """Count what is new, if it is little; whether the numbers come to the end of the log.

    Where there is more, the node's sweep is at it, and a page would wait to little avail.
    """
    tallier = visit.console.tallier
    try:
        return tallier.behind(CATCH_UP) <= CATCH_UP and not tallier.run(now=visit.now).more
    except CodedError:
        return False


def scorecard(visit: Visit, hcid: str) -> list[Tallies]:
    """The tallies of every window, the longest last."""
    return [tallies(visit.console.engine, hcid, days, now=visit.now) for days in WINDOWS]


def scorecard_groups(
    counted: Sequence[Tallies],
) -> list[tuple[str, list[tuple[str, str, list[Any]]]]]:
    """Groups of rows: words, the code of the address, and a cell for every window."""
    rows = [
        (each.group, _words(each), each.code, [(one.days, one.cell(each)) for one in counted])
        for each in counted[-1].measures()
    ]
    return [
        (group, [(words, code, cells) for _, words, code, cells in of])
        for group, of in groupby(rows, key=lambda row: row[0])
    ]


def _words(measure: Measure) -> str:
    name = measure.code.rpartition(".")[2]
    if measure.code.startswith("purpose."):
        return f"Asked of us: {purpose_word(name)}"
    if measure.timed:
        return f"{transaction_word(name)}, {measure.words.rpartition(', ')[2]}"
    return measure.words


def peer_rows(visit: Visit, hcid: str, number: str) -> Response:
    """On to the exchanges behind a number: ``30.answered``, or ``d20600.every``.

    Before the first point are 7, 30 or 90 days, or one day (since 1970); a code with ``-n`` at its
    end is the whole that the row is a share of.
    """
    window, _, code = number[:_LONGEST].partition(".")
    is_whole = code.endswith("-n")
    try:
        counted, measure = _window(visit, window), _measure(code.removesuffix("-n"))
        if counted is None or measure is None:
            return missing(visit, _UNKNOWN)
        wanted = measure.whole if is_whole and measure.whole is not None else measure.part
        chosen = counted.filter_of(hcid, wanted)
    except (CodedError, ValueError):  # nothing that the filter could be asked
        return missing(visit, _UNKNOWN)
    return see(f"/exchanges?{to_query(chosen)}")


def _window(visit: Visit, text: str) -> Tallies | None:
    """A window, or a day, without its numbers."""
    if _DAY.fullmatch(text):
        return Tallies(days=1, first=int(text[1:]), rows=(), took={})
    if text not in map(str, WINDOWS):
        return None
    first = leaf.milliseconds(visit.now) // DAY_MS - int(text) + 1
    return Tallies(days=int(text), first=first, rows=(), took={})


def _measure(code: str) -> Measure | None:
    kind, _, rest = code.partition(".")
    if kind == "purpose":
        return of_purpose(rest)
    if kind == "dev":
        return of_deviation(rest)
    if kind == "took":
        direction, _, transaction = rest.partition(".")
        return of_time(Direction(direction).value, transaction)
    return next((each for each in (*MEASURES, EVERY) if each.code == code), None)


def spark(days: Sequence[Day]) -> Markup:
    """Legs of each day: above the line those that ended well, below it those that did not."""
    most = max((each.number for each in days), default=0) or 1
    good, bad_ones = "", ""
    for number, each in enumerate(days):
        x, well = number * _STEP + 1, each.number - each.bad
        if well:
            height = max(round(well * (_HIGH - 2) / most), 1)
            good += f"M{x} {_HIGH}h{_BAR}v-{height}h-{_BAR}z"
        if each.bad:
            height = max(round(each.bad * _LOW / most), 1)
            bad_ones += f"M{x} {_HIGH + 1}h{_BAR}v{height}h-{_BAR}z"
    drawn = (
        f'<line class="axis" x1="0" x2="{_STEP * len(days)}" y1="{_HIGH}" y2="{_HIGH}"/>'
        f'<path class="f-mid" d="{good}"/><path class="f-failed" d="{bad_ones}"/>'
    )
    whole, bad = sum(each.number for each in days), sum(each.bad for each in days)
    width, height_ = _STEP * len(days), _HIGH + _LOW + 2
    return Markup(  # noqa: S704 - numbers alone
        f'<svg class="spark" viewBox="0 0 {width} {height_}" width="{width}" height="{height_}"'
        f' role="img" aria-labelledby="sp-t sp-d"><title id="sp-t">Legs of the last {len(days)}'
        f' days, by the day</title><desc id="sp-d">{whole:,} legs, {most if whole else 0:,} on the'
        f" busiest day; {bad:,} failed or timed out, drawn below the line. The table has each"
        f" day.</desc>{drawn}</svg>"
    )


def spark_rows(days: Sequence[Day]) -> list[Mapping[str, object]]:
    """The days on which there was anything, newest first: what the picture says, as a table."""
    return [
        {"day": f"{day_of(each.day):%-d %b}", "code": f"d{each.day}", "all": each.number,
         "bad": each.bad}
        for each in reversed(days)
        if each.number
    ]  # fmt: skip
