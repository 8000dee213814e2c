"""``tefca-node peer``: what we decide about an organisation; it survives every import."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from directory.model import PinUse
from directory.profile import effective_profile
from node.cli.exits import Exit
from node.cli.home import Stores, opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from trust.certificates import load_certificates
from trust.keys import spki_sha256
from trust.pins import parse_pin

app = typer.Typer(help="Our decisions about single organisations.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(help="The entry's id or home community id.")]
Uses = Annotated[
    list[PinUse] | None, typer.Option("--use", help="What the key is for; default: everything.")
]


@app.command()
def pin(
    context: typer.Context,
    key: KeyArgument,
    files: Annotated[
        list[Path] | None, typer.Argument(help="PEM: the organisation's own certificates.")
    ] = None,
    spki: Annotated[
        list[str] | None, typer.Option(help="Or SHA-256 of a SubjectPublicKeyInfo; repeatable.")
    ] = None,
    use: Uses = None,
) -> None:
    """Tie keys to an organisation: from then on it may use no others."""
    home, settings, wiring = opened(context)
    digests = [parse_pin(text) for text in spki or ()]
    digests += [spki_sha256(load_certificates(file)[0]) for file in files or ()]
    if not digests:
        raise typer.BadParameter("Name certificate files or --spki.")
    with wiring.stores(home, settings) as stores:
        identity = _identity(stores, key)
        for digest in dict.fromkeys(digests):
            new = [
                stores.directory.local.pin(identity, digest, each, now=datetime.now(UTC))
                for each in use or list(PinUse)
            ]
            say(f"The key {digest} {'is now' if any(new) else 'was already'} pinned to {identity}.")


@app.command()
def unpin(
    context: typer.Context,
    key: KeyArgument,
    spki: Annotated[str, typer.Option(help="SHA-256 of its SubjectPublicKeyInfo.")],
    use: Uses = None,
) -> None:
    """Forget a pinned key."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        identity = _identity(stores, key)
        gone = [stores.directory.local.unpin(identity, spki, each) for each in use or list(PinUse)]
    if not any(gone):
        note(f"{identity} has no such pin; nothing was changed.")
        raise typer.Exit(Exit.NOT_GOOD)
    say(f"The pin was removed from {identity}.")


@app.command()
def suspend(
    context: typer.Context,
    key: KeyArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
) -> None:
    """Stop exchanging with an organisation, in both directions."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        identity = _identity(stores, key)
        stores.directory.local.suspend(identity, reason, now=datetime.now(UTC))
    say(f"{identity} is suspended: it is neither asked nor answered.")


@app.command()
def resume(context: typer.Context, key: KeyArgument) -> None:
    """Exchange with a suspended organisation again."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        identity = _identity(stores, key)
        stores.directory.local.resume(identity, now=datetime.now(UTC))
    say(f"{identity} is no longer suspended.")


@app.command()
def profile(
    context: typer.Context,
    key: KeyArgument,
    setting: Annotated[
        str | None, typer.Argument(help="NAME=VALUE; NAME= goes back to the default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set what differs with this partner: documents per retrieve, time-outs, forms."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        identity = _identity(stores, key)
        if setting is not None:
            name, _, value = setting.partition("=")
            stores.directory.local.set_profile(identity, name, value or None, now=datetime.now(UTC))
        organization = stores.directory.by_id(identity)
    own = dict(organization.profile) if organization else {}
    values = effective_profile(own)
    if as_json:
        print_json(values)
        return
    print_table(
        ("setting", "value", ""),
        [(name, value, "set here" if name in own else "") for name, value in values.items()],
        empty="There is no setting.",
    )


def _identity(stores: Stores, key: str) -> str:
    found = stores.directory.search(key, limit=1).organizations
    if not found:
        note(
            f"The directory has no organisation {key}. Next: directory find, directory import FILE"
        )
        raise typer.Exit(Exit.NOT_GOOD)
    return found[0].id
