"""``tefca-node log hold``: what must not be erased."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy import Connection

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.ledger import hold as legal
from node.ledger import leaf
from node.ledger.hold import Hold, digest, lift_hold, place_hold
from node.ledger.private import load_key
from node.ledger.trust_change import Made, TrustChange
from node.ledger.trust_log import operator
from node.storage.engine import IMMEDIATE
from node.wire.identifiers import home_community_id, parse_cx

app = typer.Typer(help="Legal holds: entries that must not be erased.", no_args_is_help=True)


@app.command("add")
def add_hold(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why: a code of yours, such as litigation.")],
    entries: Annotated[str | None, typer.Option(help="Numbers, FIRST-LAST.")] = None,
    patient: Annotated[str | None, typer.Option(help="A person: id^^^&oid&ISO.")] = None,
    peer: Annotated[str | None, typer.Option(help="Home community id of the other side.")] = None,
) -> None:
    """Hold entries: by numbers, by person or by peer, also those that are written later."""
    if sum(each is not None for each in (entries, patient, peer)) != 1:
        raise typer.BadParameter("Name one of --entries, --patient and --peer.")
    if not leaf.fits("reason", reason):
        raise typer.BadParameter("--reason takes a code: words joined by hyphens, no long number.")
    first, last = _range(entries)
    home, _, _ = opened(context)
    who = operator().who
    placed = Hold(
        reason=reason,
        placed_by=str(who["user_id"])[:64],
        placed=leaf.milliseconds(datetime.now(UTC)),
        first=first,
        last=last,
        token=load_key(home.path).patient_token(parse_cx(patient)) if patient else None,
        peer=home_community_id(peer) if peer else None,
    )
    change = TrustChange(
        act="hold-add",
        home_community_id=placed.peer,
        reason=reason,
        private={"scope": placed.scope},
    )
    with _writing(context, change) as (connection, made):
        number = place_hold(connection, placed)
        row = {"hold": number, "row": digest(number, placed)}
        made.add(TrustChange(act=change.act, private=row))
    say(f"Hold {number} covers {placed.scope}.")


@app.command("list")
def list_holds(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the legal holds."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores, stores.engine.connect() as connection:
        found = legal.holds(connection)
    rows = [
        (number, hold.scope, hold.reason, hold.placed_by, leaf.from_time(_instant(hold.placed)))
        for number, hold in found.items()
    ]
    columns = ("hold", "covers", "reason", "placed_by", "placed")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows, empty="Nothing is held.")


@app.command("remove")
def remove_hold(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The hold's number, see log hold list.")],
) -> None:
    """Lift a legal hold."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores, stores.engine.connect() as connection:
        held = legal.holds(connection).get(number)
    if held is None:
        note(f"There is no hold {number}. Next: log hold list")
        raise typer.Exit(Exit.NOT_GOOD)
    change = TrustChange(
        act="hold-remove",
        home_community_id=held.peer,
        reason=held.reason,
        private={"scope": held.scope, "hold": number},
    )
    with _writing(context, change) as (connection, _):
        lift_hold(connection, number)
    say(f"Hold {number} is lifted.")


@contextmanager
def _writing(context: typer.Context, change: TrustChange) -> Iterator[tuple[Connection, Made]]:
    """A transaction between the two entries of a change."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores, stores.trust.change(change) as made:
        engine = stores.engine.execution_options(**{IMMEDIATE: True})
        with engine.begin() as connection:
            yield connection, made


def _range(entries: str | None) -> tuple[int | None, int | None]:
    if entries is None:
        return None, None
    first, _, last = entries.partition("-")
    last = last or first
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) < 2**53):
        raise typer.BadParameter("--entries takes a number, or FIRST-LAST.")
    return int(first), int(last)


def _instant(t: int) -> datetime:
    return datetime.fromtimestamp(t / 1000, UTC)
