"""``tefca-node client``: who may ask this node over gRPC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.home import opened, recorded
from node.cli.output import say
from node.identity import passphrase
from node.ledger.trust_change import TrustChange
from node.setup import issue_client
from node.trust_changes import of_client

_NAME = "[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"

app = typer.Typer(help="Local clients of the gRPC service.", no_args_is_help=True)


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the client is called, e.g. ehr-1.")],
    folder: Annotated[Path, typer.Option("--out", help="Where its files go.")] = Path(),
) -> None:
    """Give a client a key and a certificate of this node's own CA for clients."""
    home, settings, _ = opened(context)
    if not re.fullmatch(_NAME, name):
        raise typer.BadParameter(
            "A client's name has letters, digits, dots, hyphens and underscores, 64 at most.",
            param_hint="NAME",
        )
    secret = passphrase(settings)
    with recorded(context, TrustChange(act="client-add", private={"name": name})) as made:
        files = issue_client(home, name, folder, ca_passphrase=secret, now=datetime.now(UTC))
        made.add(of_client(name, files))
    say(f"The client's key is {files.key}, its certificate {files.certificate}.")
    say("The key is not encrypted, for the client has to read it without our passphrase.")
    say("Move both to the client; it has to trust the CA of this node's server certificate.")
