"""``tefca-node log reconcile|review``: whether two logs agree, and what is to be done."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

import node.cli.log_erase  # noqa: F401 - its commands stand before these
from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.log import app
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.ledger import leaf, review
from node.ledger.differences import Difference, meanings
from node.ledger.trust_log import operator
from node.wire.identifiers import home_community_id

if TYPE_CHECKING:  # brings connections along, which few commands need
    from node.reconciling import Reconciled

review_app = typer.Typer(help="What somebody has to look into.", no_args_is_help=True)
app.add_typer(review_app, name="review")

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


@review_app.command("list")
def list_items(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="open, resolved or all.")] = "open",
    peer: Annotated[str | None, typer.Option(help="Home community id of the other side.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List what somebody has to look into, what is due first standing first."""
    if state not in ("open", "resolved", "all"):
        raise typer.BadParameter("--state takes open, resolved or all.")
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        found = review.items(
            stores.engine,
            state=None if state == "all" else state,
            peer=home_community_id(peer) if peer else None,
            limit=limit,
        )
    rows = [
        {
            **{name: getattr(item, name) for name in review.Item.__slots__},
            "first_seen": _time(item.first_seen),
            "due": _time(item.due),
            "sentence": _sentence(item),
        }
        for item in found
    ]
    if as_json:
        print_json(rows)
        return
    now = leaf.milliseconds(datetime.now(UTC))
    print_table(
        ("item", "state", "due", "class", "peer", "day", "our entry", "cases", "what it means"),
        [
            (
                item.id,
                item.outcome or (item.state if item.due >= now else "overdue"),
                _time(item.due)[:16],
                item.kind,
                item.peer,
                item.window,
                item.seq,
                item.cases,
                _sentence(item),
            )
            for item in found
        ],
        empty="There is nothing to look into.",
    )


@review_app.command("resolve")
def resolve_item(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The item's number, see log review list.")],
    outcome: Annotated[str, typer.Option(help=f"One of: {', '.join(review.outcomes())}.")],
    reason: Annotated[str, typer.Option(help="Why, in your words; never a patient's data.")],
) -> None:
    """Resolve an item; its history is kept."""
    if not reason.strip():
        raise typer.BadParameter("--reason must say why.")
    home, settings, wiring = opened(context)
    who = str(operator().who["user_id"])[:64]
    with wiring.stores(home, settings) as stores:
        done = review.resolve(
            stores.engine, number, outcome=outcome, reason=reason, who=who, now=datetime.now(UTC)
        )
    if not done:
        note(f"There is no open item {number}. Next: log review list")
        raise typer.Exit(Exit.NOT_GOOD)
    say(f"Item {number} is resolved: {review.outcomes()[outcome]}")


def _sentence(item: review.Item) -> str:
    if item.source == "promise":
        return "The peer promised that its log would have the entry, and did not show it."
    return meanings()[Difference(item.kind)].sentence


def _time(t: int) -> str:
    return leaf.from_time(datetime.fromtimestamp(t / 1000, UTC))
