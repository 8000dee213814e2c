"""``tefca-node report monthly`` and ``report quarterly``: what a QHIN owes the RCE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from node.cli.home import opened
from node.cli.output import say
from node.cli.report_file import write_whole
from node.governance.qhin_files import MEDIA, make, notes_of, title_of
from node.governance.qhin_period import How, read_period, read_windows
from node.governance.qhin_reading import QhinReports, Wanted
from node.governance.qhin_stated import read_stated
from node.ledger.trust_log import operator

Out = Annotated[Path, typer.Option(help="FILE.pdf, .csv or .json; never an existing one.")]


def report_monthly(
    context: typer.Context,
    period: Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month (UTC).")],
    out: Out,
    planned: Annotated[
        list[str] | None,
        typer.Option(metavar="BEGIN/END", help="A planned downtime, UTC; repeatable."),
    ] = None,
) -> None:
    """Write the monthly report of a QHIN (QTF-1801) as PDF, CSV or JSON."""
    _write(context, How.MONTHLY, period, out, planned=planned or ())


def report_quarterly(
    context: typer.Context,
    period: Annotated[str, typer.Argument(metavar="YYYY-QN", help="The quarter (UTC).")],
    out: Out,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="What the node does not know; repeatable."),
    ] = None,
) -> None:
    """Write the quarterly report of a QHIN (QTF-1802) as PDF, CSV or JSON."""
    _write(context, How.QUARTERLY, period, out, stated=state or ())


def _write(
    context: typer.Context,
    how: How,
    text: str,
    out: Path,
    *,
    planned: Sequence[str] = (),
    stated: Sequence[str] = (),
) -> None:
    ending = out.suffix.removeprefix(".").lower()
    if ending not in MEDIA:
        raise typer.BadParameter("Let the file's name end in .pdf, .csv or .json.")
    wanted = Wanted(
        period=read_period(how, text),
        by=str(operator().who["user_id"]),
        now=datetime.now(UTC),
        stated=read_stated(_pair(each) for each in stated),
        planned=read_windows(" ".join(planned)),
    )
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        reports = QhinReports(
            stores.engine,
            stores.directory,
            own_name=settings.node.name,
            own_id=settings.node.home_community_id,
            organization_id=settings.node.organization_id,
            heartbeat=timedelta(minutes=settings.log.heartbeat_minutes),
        )
        report = reports.report(wanted, most=None)
        made = make(report, ending)
        with stores.trust.change(made.change):
            write_whole(out, made.data)
    say(f"{title_of(report)}: {out}.")
    for line in report.lacks:
        say(line)
    for part in report.parts:
        say(f"{part.title}: {len(part.rows)} rows ({part.source})")
        for line in notes_of(part):
            say(f"  {line}")
    say(f"SHA-256 {made.change.thing}")


def _pair(text: str) -> tuple[str, str]:
    name, _, number = text.partition("=")
    return name, number
