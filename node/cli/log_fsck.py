"""``tefca-node log fsck``: does all that this node has of its log agree?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import SystemRandom
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, err, note, print_json, say
from node.errors import OurFault
from node.last_check import remember, summary
from node.ledger.compared import Compared, Found
from node.ledger.fsck import Fsck, Reached
from node.ledger.private import load_key
from node.ledger.tlog.note import to_base64
from node.year_logs import year_logs

app = typer.Typer()


@app.command()
def fsck(
    context: typer.Context,
    year: Annotated[
        int | None, typer.Option(min=1000, max=9999, help="Only this year's log and its rows.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only so many bundles, picked at random.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare database, sealed files and private records: every entry, 1 if anything differs."""
    if year is not None and sample is not None:
        raise typer.BadParameter("Give one of --year and --sample.")
    home, settings, wiring = opened(context)
    key = load_key(home.path)
    started = time.monotonic()
    with wiring.stores(home, settings) as stores, _progress() as reached:
        logs = year_logs(home, settings, now=datetime.now(UTC))
        if year is not None and year not in {log.year for log in logs}:
            note(f"There is no log of {year}. Next: log checkpoint")
            raise typer.Exit(Exit.NOT_GOOD)
        comparing = Fsck(stores.engine, key, logs, reached=reached)
        try:
            found = comparing.sample(sample, SystemRandom()) if sample else comparing.run(year)
        except SQLAlchemyError as error:  # its own text may quote a value
            cause = getattr(error, "orig", None) or error
            raise OurFault(
                "database-unavailable",
                "The database could not be read to its end.",
                detail=type(cause).__name__,
            ) from None
    if year is None:
        remember(home, found, whole=sample is None, now=datetime.now(UTC))
    _tell(found, seconds=time.monotonic() - started, as_json=as_json)
    if not found.ok:
        raise typer.Exit(Exit.NOT_GOOD)


@contextmanager
def _progress() -> Iterator[Reached]:
    shown = (
        TextColumn("comparing"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*shown, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(found: Compared, *, seconds: float, as_json: bool) -> None:
    if as_json:
        print_json({**summary(found), "seconds": round(seconds, 3)})
        return
    for name, count in found.counts().items():
        say(f"{name.replace('_', ' '):20} {count:>12,}")
    for each in found.findings:
        _say(each)
    if found.ok:
        say("Everything agrees.")
    if found.more:
        note(f"Further findings that are not listed: {found.more}.")


def _say(found: Found) -> None:
    """A finding: the place, the sentence, and below it what was expected, found and still holds."""
    finding, good = found.finding, found.finding.last_good
    places = (("log", found.year), ("index", finding.index), ("entry", found.seq))
    place = ", ".join(f"{name} {value}" for name, value in places if value is not None)
    say(f"{finding.code} ({place or 'the whole log'}): {finding.sentence}")
    if finding.expected or finding.found:
        say(f"  expected {finding.expected or 'nothing'}, found {finding.found or 'another value'}")
    if good:
        say(f"  last good checkpoint: {good.size} {to_base64(good.root)}")
