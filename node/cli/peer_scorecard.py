"""``tefca-node peer scorecard``: what the log says of one peer, each number with its filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from node.cli.output import note, print_json, print_table, say
from node.governance.durations import ERROR
from node.governance.measures import Measure
from node.governance.scorecard import FEW, WINDOWS, Cell, Tallies, tallies
from node.governance.tallying import Tallier
from node.ledger.filter_text import format_filter
from node.ledger.private import load_key

if TYPE_CHECKING:
    from node.cli.home import Stores
    from node.settings import NodeHome


def show_scorecard(
    stores: Stores, home: NodeHome, hcid: str, *, days: int, now: datetime, as_json: bool
) -> None:
    """Count what is new, then show the peer's numbers; ``days`` are kept of the tallies."""
    Tallier(stores.engine, load_key(home.path), days=days).run(now=now)
    counted = [tallies(stores.engine, hcid, each, now=now) for each in WINDOWS]
    measures = list(counted[-1].measures())
    if as_json:
        rows = [row for each in measures for row in _rows(hcid, each, counted)]
        print_json({"peer": hcid, "few": FEW, "time_error": ERROR, "numbers": rows})
        return
    print_table(
        ("measure, in legs", *(f"{days} days" for days in WINDOWS)),
        [(each.words, *(_shown(one.cell(each)) for one in counted)) for each in measures],
        empty="",
    )
    say(f"Where n is under {FEW} there is no share. Times: half within / 95 % within.")
    note("The filter behind each number: --json")


def _shown(cell: Cell) -> str:
    if cell.timed:
        return f"{cell.words} (n {cell.part:,})"
    return cell.words if cell.whole is None else f"{cell.words} (n {cell.whole:,})"


def _rows(hcid: str, measure: Measure, counted: Sequence[Tallies]) -> list[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    for one in counted:
        cell = one.cell(measure)
        whole = measure.whole
        found.append(
            {
                "group": measure.group,
                "measure": measure.code,
                "words": measure.words,
                "days": one.days,
                "number": cell.part,
                "n": cell.whole,
                "half_within_ms": None if cell.few else cell.half,
                "most_within_ms": None if cell.few else cell.most,
                "filter": format_filter(one.filter_of(hcid, measure.part)),
                "n_filter": None if whole is None else format_filter(one.filter_of(hcid, whole)),
            }
        )
    return found
