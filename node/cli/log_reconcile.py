"""``tefca-node log reconcile|review``: whether two logs agree, and what is to be done."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.ledger.differences import Difference, meanings

if TYPE_CHECKING:  # brings connections along, which few commands need
    from node.reconciling import Reconciled

app = typer.Typer()

_SHOWN = 50


@app.command("reconcile")
def reconcile(
    context: typer.Context,
    peer: Annotated[str, typer.Argument(help="Home community id or directory id of the peer.")],
    window: Annotated[
        str | None, typer.Option(help="The day (UTC), YYYY-MM-DD; yesterday if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare our log with a peer's about one day; 1 when they differ."""
    home, settings, wiring = opened(context)
    day = _day(window)

    async def run() -> Reconciled:
        async with wiring.reconciling(home, settings) as reconciler:
            return await reconciler.run(reconciler.entry(peer), day)

    found = asyncio.run(run())
    if as_json:
        print_json(_plain(found))
    else:
        _tell(found)
    if not found.agree:
        raise typer.Exit(Exit.NOT_GOOD)


def _day(text: str | None) -> date:
    if text is None:
        return (datetime.now(UTC) - timedelta(days=1)).date()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("--window takes a day, YYYY-MM-DD.") from error


def _plain(found: Reconciled) -> dict[str, object]:
    return {
        "peer": found.peer,
        "window": found.window,
        "agree": found.agree,
        "counts": found.counts,
        "differences": [
            {
                "class": each.difference,
                "seq": each.seq,
                "token": each.token,
                "ours": _row(each.ours),
                "theirs": _row(each.theirs),
            }
            for each in found.listed
        ],
        "new_review_items": found.new,
        "rows": {"ours": found.rows[0], "theirs": found.rows[1]},
        "entries": {"ours": found.entries[0], "theirs": found.entries[1]},
    }


def _row(row: object) -> dict[str, object] | None:
    if row is None:
        return None
    return {name: getattr(row, name) for name in ("side", "t", "outcome")}


def _tell(found: Reconciled) -> None:
    table = meanings()
    say(
        f"{found.peer}, {found.window}: {found.rows[0]} exchanges stated here (entry "
        f"{found.entries[0]}), {found.rows[1]} there (entry {found.entries[1]})."
    )
    rows = [
        (each.value, found.counts[each.value], table[each].sentence)
        for each in Difference
        if found.counts[each.value]
    ]
    print_table(("class", "count", "what it means"), rows, empty="There was no exchange.")
    if found.listed:
        say("")
        print_table(
            ("class", "our entry", "token", "here", "there"),
            [
                (
                    each.difference.value,
                    each.seq,
                    each.token,
                    each.ours.outcome if each.ours else "",
                    each.theirs.outcome if each.theirs else "",
                )
                for each in found.listed[:_SHOWN]
            ],
            empty="",
        )
        if len(found.listed) > _SHOWN:
            note(f"{len(found.listed) - _SHOWN} more; --json lists them.")
        for each in dict.fromkeys(item.difference for item in found.listed):
            note(f"{each.value}: {table[each].next}")
        note(f"New review items: {found.new}. Next: log review list")
