"""``tefca-node log promise``: whether peers' logs have what they promised to have."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, print_json, print_table, say
from node.ledger import leaf
from node.ledger.log_files import LogFolder
from node.ledger.promise_evidence import MAX_EVIDENCE, judge, read_evidence
from node.ledger.tlog.note import parse_verifier_key
from node.wire.identifiers import home_community_id

if TYPE_CHECKING:  # brings connections along, which few commands need
    from node.promise_check import Checked

app = typer.Typer(help="Log promises that peers gave us.", no_args_is_help=True)


@app.command("check")
def check_promises(
    context: typer.Context,
    peer: Annotated[str | None, typer.Option(help="Only this peer's, by its HCID.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Ask peers' logs for entries they promised, once due; 1 when a promise was not kept."""
    home, settings, wiring = opened(context)
    hcid = home_community_id(peer) if peer else None

    async def run() -> list[Checked]:
        async with wiring.promises(home, settings) as check:
            due = await asyncio.to_thread(check.due, limit=limit, peer=hcid)
            return [await check.run(each) for each in due]

    found = asyncio.run(run())
    if as_json:
        print_json(
            [
                {
                    "seq": each.seq,
                    "peer": each.peer,
                    "state": each.state,
                    "sentence": each.sentence,
                    "evidence": each.evidence,
                }
                for each in found
            ]
        )
    else:
        print_table(
            ("our entry", "peer", "promise", "what came", "evidence"),
            [(e.seq, e.peer, e.state, e.sentence, e.evidence) for e in found],
            empty="No promise is due.",
        )
    if any(each.state == "broken" for each in found):
        raise typer.Exit(Exit.NOT_GOOD)


@app.command("verify")
def verify_evidence(
    file: Annotated[Path, typer.Argument(help="The evidence file.")],
    vkey: Annotated[list[str], typer.Option(help="A verifier key of the log; may be repeated.")],
    as_json: JsonOption = False,
) -> None:
    """Check evidence of a promise not kept; 1 when it is the word of the asker alone."""
    evidence = read_evidence(LogFolder(file.parent).read(file.name, MAX_EVIDENCE))
    judged = judge(evidence, [parse_verifier_key(text) for text in vkey])
    if as_json:
        print_json(
            {
                "proved": judged.proved,
                "log": judged.log,
                "message": judged.message_id,
                "promised": leaf.from_time(judged.promised),
                "due": leaf.from_time(judged.due),
                "sentence": judged.sentence,
                "checkpoint_size": judged.checkpoint.size if judged.checkpoint else None,
            }
        )
    else:
        say(f"{judged.log} promised {judged.message_id} at {leaf.from_time(judged.promised)},")
        say(f"due {leaf.from_time(judged.due)}. {judged.sentence}")
        if judged.checkpoint is not None:
            say(f"Its newest checkpoint then had {judged.checkpoint.size} entries.")
    if not judged.proved:
        raise typer.Exit(Exit.NOT_GOOD)
