"""``tefca-node report``: reports for people outside of this organisation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from node.cli.home import Stores, opened
from node.cli.output import say
from node.cli.report_file import write_whole
from node.cli.report_qhin import report_monthly, report_quarterly
from node.governance.access_report import make_access
from node.governance.accounting import Accounting, applied
from node.governance.disclosure_files import MEDIA, make, period_of, title_of
from node.governance.disclosure_reading import Asked, Disclosures
from node.governance.language import language as words_of
from node.ledger.private import LedgerKey, load_key
from node.ledger.trust_log import operator
from node.settings import Settings
from node.wire.identifiers import parse_cx

app = typer.Typer(help="Reports for people outside of this organisation.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Reports for people outside of this organisation."""


@app.command("disclosures")
def report_disclosures(
    context: typer.Context,
    patient: Annotated[str, typer.Option(metavar="CX", help="Patient id, id^^^&oid&ISO.")],
    out: Annotated[Path, typer.Option(help="FILE.pdf or FILE.csv; never an existing one.")],
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day (UTC); six years back by default."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day (UTC); today by default."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Also what the rule does not owe.")] = False,
) -> None:
    """Write a patient's accounting of disclosures as PDF or CSV; that is an entry of the log."""
    home, settings, wiring = opened(context)
    how = out.suffix.removeprefix(".").lower()
    if how not in MEDIA:
        raise typer.BadParameter("Let the file's name end in .pdf or .csv.")
    person, key = parse_cx(patient), load_key(home.path)
    rules, now = applied(settings.disclosures.count), datetime.now(UTC)
    begin = since.replace(tzinfo=UTC) if since else rules.first_day(now)
    end = until.replace(tzinfo=UTC) + timedelta(days=1) if until else now
    if begin >= end:
        raise typer.BadParameter("The period begins before it ends.")
    by = str(operator().who["user_id"])
    asked = Asked(patient=person, since=begin, until=end, full=full, by=by, made=now)
    with wiring.stores(home, settings) as stores:
        report = _disclosures(stores, settings, key, rules).report(asked)
        made = make(report, how, token=key.patient_token(person))
        with stores.trust.change(made.change):
            write_whole(out, made.data)
    say(f"{title_of(report)}, {period_of(report)}: {made.change.counts['entries']} listed, {out}.")
    for row, number in report.found.by_exclusion:
        say(f"Not owed: {row.title} {number} ({row.cite})")
    for line in report.lacks:
        say(line)
    say(f"SHA-256 {made.change.thing}")


@app.command("access")
def report_access(
    context: typer.Context,
    patient: Annotated[str, typer.Option(metavar="CX", help="Patient id, id^^^&oid&ISO.")],
    out: Annotated[Path, typer.Option(help="FILE.pdf or FILE.csv; never an existing one.")],
    language: Annotated[str, typer.Option(help="Code of the language, such as en or es.")] = "en",
) -> None:
    """Write who received what about a patient, in plain words of a language, as PDF or CSV."""
    home, settings, wiring = opened(context)
    how = out.suffix.removeprefix(".").lower()
    if how not in MEDIA:
        raise typer.BadParameter("Let the file's name end in .pdf or .csv.")
    words_of(language)  # before anything is read
    person, key = parse_cx(patient), load_key(home.path)
    rules, now = applied(settings.disclosures.count), datetime.now(UTC)
    by = str(operator().who["user_id"])
    asked = Asked(patient=person, since=rules.first_day(now), until=now, full=True, by=by, made=now)
    with wiring.stores(home, settings) as stores:
        report = _disclosures(stores, settings, key, rules).report(asked)
        made = make_access(report, how, language, token=key.patient_token(person))
        with stores.trust.change(made.change):
            write_whole(out, made.data)
    say(f"Full access report, {period_of(report)}: {made.change.counts['entries']} listed, {out}.")
    if report.suspended:
        say(f"Kept out as an authority asked: {report.suspended}. Say so to nobody outside.")
    say(f"SHA-256 {made.change.thing}")


def _disclosures(
    stores: Stores, settings: Settings, key: LedgerKey, rules: Accounting
) -> Disclosures:
    return Disclosures(
        stores.engine,
        key,
        stores.directory,
        rules,
        own_name=settings.node.name,
        own_id=settings.node.home_community_id,
    )


app.command("monthly")(report_monthly)
app.command("quarterly")(report_quarterly)
