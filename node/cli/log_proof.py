"""``tefca-node log prove|checkpoint``: what our log proves to others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, say
from node.errors import SettingsError
from node.ledger.log_files import LogFolder
from node.ledger.sealed_proof import prove_entry
from node.ledger.sealer import CHECKPOINT
from node.ledger.tlog.checkpoint import parse_checkpoint
from node.ledger.tlog.note import MAX_NOTE, parse_note, to_base64
from node.ledger.tlog.policy import accept, of_log
from node.ledger.witness_peers import witness_peers
from node.ledger.witness_policy import witnessed_by
from node.storage.tables import ENTRY
from node.yearly_sealer import sealed_years, verifier_keys

app = typer.Typer()


@app.command()
def prove(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="The entry's number or leg id.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the proof here; convention: NAME.tlog-proof.")
    ] = None,
    entry: Annotated[
        Path | None, typer.Option(help="Write the entry's bytes here, which the proof is about.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a C2SP tlog-proof that an entry is in the log, for whoever has our verifier key."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        column = ENTRY.c.seq if reference.isdecimal() else ENTRY.c.entry_id
        value = int(reference) if reference.isdecimal() else reference
        with stores.engine.connect() as connection:
            number = connection.execute(select(ENTRY.c.seq).where(column == value)).scalar()
    found = prove_entry(home.log, number) if number is not None else None
    if number is None or found is None:
        what = "is not sealed yet" if number is not None else "is not there"
        note(f"The entry {reference} {what}. Next: log find, or wait ten seconds while it serves.")
        raise typer.Exit(Exit.NOT_GOOD)
    proof, data, point = found.proof, found.data, found.point
    if entry is not None:
        entry.write_bytes(data)
    if out is not None:
        out.write_bytes(bytes(proof))
    if as_json:
        print_json(
            {
                "seq": number,
                "origin": point.origin,
                "index": proof.index,
                "size": point.size,
                "proof": bytes(proof).decode(),
                "entry": data.decode(),
            }
        )
    elif out is None:
        typer.echo(bytes(proof), nl=False)
    else:
        say(f"Proved entry {number}: index {proof.index} of {point.origin}, {point.size} entries.")


@app.command()
def checkpoint(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the newest checkpoint, the key by which others check it, and who witnessed it."""
    home, settings, wiring = opened(context)
    years = sealed_years(home)
    if not years:
        note("Nothing is sealed yet. Next: serve; a checkpoint is signed within ten seconds.")
        raise typer.Exit(Exit.NOT_GOOD)
    folder = LogFolder(home.log / str(years[-1]))
    data = folder.read(CHECKPOINT, MAX_NOTE)
    origin = parse_checkpoint(parse_note(data).text).origin
    keys = verifier_keys(home, settings, origin, now=datetime.now(UTC))
    if not keys:
        raise SettingsError("log-key-missing", "This node home has no key that signs its log.")
    point = accept(of_log(*keys), data).checkpoint
    with wiring.stores(home, settings) as stores:
        peers = witness_peers(stores.engine)
    witnessed = witnessed_by(folder, keys, peers)
    if as_json:
        print_json(
            {
                "origin": point.origin,
                "size": point.size,
                "root": to_base64(point.root),
                "vkeys": [str(key) for key in keys],
                "folder": folder.path,
                "checkpoint": data.decode(),
                "witnessed": witnessed.size if witnessed else None,
                "witnesses": witnessed.times if witnessed else {},
            }
        )
        return
    say(data.decode().rstrip("\n"))
    say("")
    for key in keys:
        say(f"vkey   {key}")
    say(f"folder {folder.path}")
    if witnessed:
        for name, signed in witnessed.times.items():
            say(f"witness {name} signed size {witnessed.size} at {signed:%Y-%m-%d %H:%M:%S} UTC")
