"""``tefca-node encounters``: the encounters that say who of ours treats whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, counted, note, print_json, say
from node.ledger.private import load_key
from node.ledger.trust_log import operator
from node.settings import Settings
from node.wire.identifiers import home_community_id

if TYPE_CHECKING:
    from node.governance.access.encounters import Encounters

app = typer.Typer(help="Encounters: who of ours treats whom.", no_args_is_help=True)


@app.command("import")
def import_encounters(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(help="ADT messages (HL7 v2) or CSV: a file, or a folder of files.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Take encounters from files; what cannot be used is listed with its reason."""
    from node.governance.access.encounter_import import (  # noqa: PLC0415 - with the database
        import_path,
        in_words,
    )

    with _encounters(context) as (encounters, settings):
        report = import_path(
            path, encounters, settings.encounters, author=operator(), now=datetime.now(UTC)
        )
    if as_json:
        print_json(report)
    else:
        say(
            f"Of {counted(report.messages, 'message')} in {counted(report.files, 'file')} used:"
            f" {report.used} ({counted(report.added, 'new encounter')}, {report.changed} changed)."
        )
        if report.codes:
            say(f"Not used: {in_words(report.codes)}.")
        for each in report.not_used:
            note(f"Not used: {each.file}, {each.place}: {each.sentence} ({each.code})")
    if report.wrong:
        raise typer.Exit(Exit.NOT_GOOD)


@app.command("status")
def show_status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Say how many encounters are known, of when the newest is, and whether they are needed."""
    with _encounters(context) as (encounters, settings):
        count, newest = encounters.count(), encounters.newest()
    required = settings.relationships.required
    if as_json:
        print_json({"encounters": count, "newest": newest, "required": required})
        return
    say(f"{counted(count, 'encounter')} known." if count else "No encounter is known yet.")
    if newest is not None:
        say(f"  the newest is of {newest:%Y-%m-%d %H:%M} UTC")
    say(
        "People at the console need a treatment relationship to ask about a patient."
        if required
        else "People at the console need no treatment relationship (relationships.required)."
    )


@app.command("purge")
def purge_encounters(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="All of them, not only those that are old.")
    ] = False,
) -> None:
    """Delete the encounters that are older than they are kept (encounters.keep_days)."""
    with _encounters(context) as (encounters, settings):
        keep = timedelta(days=-36500 if everything else settings.encounters.keep_days)
        removed = encounters.purge(keep=keep, author=operator(), now=datetime.now(UTC))
    say(f"{counted(removed, 'encounter')} deleted.")


@contextmanager
def _encounters(context: typer.Context) -> Iterator[tuple[Encounters, Settings]]:
    from node.governance.access.encounters import Encounters  # noqa: PLC0415 - with the database

    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        own = home_community_id(settings.node.home_community_id)
        yield Encounters(stores.engine, load_key(home.path), own=own), settings
