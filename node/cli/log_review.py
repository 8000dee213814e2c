"""``tefca-node log review``: what somebody has to look into, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.governance.case_reading import case_with
from node.ledger import leaf, review
from node.ledger.differences import Difference, meanings
from node.ledger.trust_log import operator
from node.wire.identifiers import home_community_id

app = typer.Typer(help="What somebody has to look into.", no_args_is_help=True)


@app.command("list")
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


@app.command("resolve")
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
        if case := case_with(stores.engine, number):
            note(
                f"Case {case} has item {number}: it ends with the case. Next: the console's Review"
            )
            raise typer.Exit(Exit.NOT_GOOD)
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
