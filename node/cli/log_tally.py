"""``tefca-node log tally``: what the log says of each peer, counted by day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from node.cli.home import opened
from node.cli.output import say
from node.governance.tallying import Tallier
from node.ledger.private import load_key

app = typer.Typer()


@app.command()
def tally(
    context: typer.Context,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Forget every number first, and count anew.")
    ] = False,
) -> None:
    """Count what is new for peers' scorecards, as a running node does; or all of it anew."""
    home, settings, wiring = opened(context)
    now = datetime.now(UTC)
    with wiring.stores(home, settings) as stores:
        tallier = Tallier(stores.engine, load_key(home.path), days=settings.log.tally_days)
        done = tallier.rebuild(now=now) if rebuild else tallier.run(now=now)
    said = f"{done.entries:,} entries" if done.entries != 1 else "1 entry"
    say(f"Counted {said}{' anew' if rebuild else ''}; {settings.log.tally_days} days are kept.")
