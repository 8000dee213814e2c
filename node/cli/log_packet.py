"""``tefca-node log verify-packet``: needs no node home and none of the node's secrets."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.output import JsonOption, note, print_json, say
from node.errors import LogError
from node.governance.packet_check import MAX_PACKET, check_packet
from node.ledger.tlog.note import parse_verifier_key
from node.ledger.tlog.policy import MAX_POLICY, Policy, of_log, parse_policy

app = typer.Typer()


@app.command("verify-packet")
def verify_packet(
    packet: Annotated[Path, typer.Argument(help="The packet, a .zip file.")],
    vkey: Annotated[
        list[str] | None, typer.Option(help="A verifier key of the log; may be repeated.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="A C2SP policy file: logs, witnesses, quorum.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a packet of evidence: its digests, and that the log has its entries; 1 when not so."""
    if packet.stat().st_size > MAX_PACKET:
        raise LogError("log-packet-invalid", f"A packet is larger than {MAX_PACKET // 2**20} MiB.")
    own = not (vkey or policy)
    found = check_packet(packet.read_bytes(), _policy(packet, vkey or [], policy))
    if as_json:
        print_json(
            {
                "title": found.title,
                "files": found.files,
                "proved": found.proved,
                "unproved": found.unproved,
                "problems": found.problems,
                "own_key": own,
            }
        )
    else:
        say(found.title)
        say(f"Files whose digests agree: {found.files}. Entries that the log has: {found.proved}.")
        if found.unproved:
            say(f"Entries without a proof: {', '.join(str(each) for each in found.unproved)}.")
        for problem in found.problems:
            say(problem)
        if own:
            note(
                "The key is the packet's own: give --vkey from somewhere else, for a packet cannot"
                " vouch for itself."
            )
    if found.problems:
        raise typer.Exit(Exit.NOT_GOOD)


def _policy(packet: Path, vkeys: list[str], file: Path | None) -> Policy:
    if file is not None:
        if file.stat().st_size > MAX_POLICY:
            raise LogError("log-policy-invalid", "The policy file is too long.")
        return parse_policy(file.read_bytes())
    if not vkeys:
        try:
            with zipfile.ZipFile(packet) as held, held.open("log-keys.txt") as keys:
                vkeys = keys.read(MAX_POLICY).decode("ascii").split()
        except (KeyError, UnicodeDecodeError, zipfile.BadZipFile) as error:
            raise LogError("log-packet-invalid", "The packet has no log-keys.txt.") from error
    return of_log(*(parse_verifier_key(text) for text in vkeys))
