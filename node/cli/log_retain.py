"""``tefca-node log retain``: drop what is older than it has to be kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, counted, err, note, print_json, print_table, say
from node.ledger.compared import YearLog
from node.ledger.private import LedgerKey, load_key
from node.ledger.retention import Reached, Retainer, Tally
from node.ledger.retention_rules import Rules, rules
from node.ledger.trust_log import operator
from node.settings import NodeHome, Settings
from node.storage.remains import clear_remains, give_back
from node.year_logs import year_logs

app = typer.Typer(help="Drop entries that are older than they have to be kept.")

YearOption = Annotated[
    int | None, typer.Option(min=1000, max=9999, help="Only the log of this year.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What the commands work with."""

    engine: Engine
    key: LedgerKey
    rules: Rules
    own: str
    now: datetime

    def retainer(self, log: YearLog, reached: Reached) -> Retainer:
        return Retainer(
            self.engine,
            self.key,
            log,
            self.rules,
            own=self.own,
            author=operator(),
            now=self.now,
            reached=reached,
        )


@app.command("plan")
def plan_retention(
    context: typer.Context, year: YearOption = None, as_json: JsonOption = False
) -> None:
    """Show which years' logs are due and when, what would go, what is kept back and why."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores, _progress() as reached:
        work = _work(home, settings, stores.engine)
        logs = _ended(home, settings, work.now, year)
        told = [(log, _plan(work, log, reached)) for log in logs]
    rows = [_row(work, log, tally) for log, tally in told]
    if as_json:
        print_json({"years": rows, "majority": work.rules.majority})
        return
    columns = ("year", "entries", "due", "would_go", "kept_back", "birth_date_unknown")
    cells = [[row[column] for column in columns] for row in rows]
    print_table(columns, cells, empty="No year's log has ended yet.")
    if work.rules.majority.verify and rows:
        note(
            f"People are taken to come of age at {work.rules.majority.age} "
            f"({work.rules.majority.source}); have it confirmed, and set log.majority."
        )


@app.command("run")
def run_retention(
    context: typer.Context,
    year: YearOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    vacuum: Annotated[
        bool,
        typer.Option(
            "--vacuum",
            help="SQLite: write the file anew, smaller; nothing else can be written meanwhile.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Drop the entries of years that are due; proofs of what is kept back, and roots, stay."""
    home, settings, wiring = opened(context)
    done = []
    with wiring.stores(home, settings) as stores:
        work = _work(home, settings, stores.engine)
        due = [
            log for log in _ended(home, settings, work.now, year)
            if year is not None or work.rules.due(log.year) <= work.now
        ]  # fmt: skip
        if not due:
            print_json({"years": []}) if as_json else say("No year's log is due.")
            return
        _confirm(due, yes=yes)
        with _progress() as reached:
            for log in due:
                tally = work.retainer(log, reached).run()
                done.append(_row(work, log, tally))
        clear_remains(stores.engine)
        if not give_back(stores.engine, whole=vacuum):
            note("The database is in use, so its file was not written anew. Nothing else is open.")
    if as_json:
        print_json({"years": done})
        return
    for row in done:
        say(f"{row['year']}: {row['would_go']} entries dropped, kept back: {row['kept_back']}.")


def _work(home: NodeHome, settings: Settings, engine: Engine) -> _Work:
    log = settings.log
    return _Work(
        engine=engine,
        key=load_key(home.path),
        rules=rules(years=log.retention_years, majority=log.majority, minor_years=log.minor_years),
        own=settings.node.home_community_id,
        now=datetime.now(UTC),
    )


def _ended(home: NodeHome, settings: Settings, now: datetime, year: int | None) -> list[YearLog]:
    """The logs that others follow; ends the command with 1 where the year has none."""
    found = year_logs(home, settings, now=now)[:-1]
    if year is None:
        return found
    chosen = [log for log in found if log.year == year]
    if not chosen:
        note(f"There is no log of {year} that has ended. Next: log retain plan")
        raise typer.Exit(Exit.NOT_GOOD)
    return chosen


def _plan(work: _Work, log: YearLog, reached: Reached) -> Tally | None:
    if work.rules.due(log.year) > work.now:
        return None
    return work.retainer(log, reached).plan()


def _row(work: _Work, log: YearLog, tally: Tally | None) -> dict[str, object]:
    kept = "" if tally is None else ", ".join(f"{why} {n}" for why, n in sorted(tally.kept.items()))
    return {
        "year": log.year,
        "entries": log.size,
        "due": f"{work.rules.due(log.year):%Y-%m-%d}",
        "would_go": None if tally is None else tally.dropped,
        "kept_back": None if tally is None else kept or "nothing",
        "birth_date_unknown": None if tally is None else tally.unknown,
    }


def _confirm(due: list[YearLog], *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("Without a terminal to ask at, this needs --yes.")
    entries = counted(sum(log.size for log in due), "entry").replace("entrys", "entries")
    note(f"Years: {', '.join(str(log.year) for log in due)}; at most {entries}. See retain plan.")
    typer.confirm("Drop them for good?", abort=True, err=True)


@contextmanager
def _progress() -> Iterator[Reached]:
    shown = (
        TextColumn("retaining"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*shown, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)
