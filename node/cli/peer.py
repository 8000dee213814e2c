"""``tefca-node peer``: what we decide about an organisation; it survives every import."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from directory.model import Organization, PinUse
from directory.profile import effective_profile
from node.cli import peer_probe
from node.cli.exits import Exit
from node.cli.home import Stores, opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.cli.peer_scorecard import show_scorecard
from node.ledger.trust_change import TrustChange
from node.peer_certificates import forget_peer_certificate, keep_peer_certificate
from trust.certificates import load_certificates
from trust.keys import spki_sha256
from trust.pins import parse_pin

app = typer.Typer(
    help="Single organisations: our decisions, and the way to them.", no_args_is_help=True
)

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
    leaves = [load_certificates(file)[0] for file in files or ()]
    digests += [spki_sha256(leaf) for leaf in leaves]
    if not digests:
        raise typer.BadParameter("Name certificate files or --spki.")
    with wiring.stores(home, settings) as stores:
        organization = _organization(stores, key)
        for leaf in leaves:
            keep_peer_certificate(home, organization.id, leaf)
        for digest in dict.fromkeys(digests):
            held = _pinned(stores, organization.id, digest)
            new = [each for each in use or list(PinUse) if each not in held]
            if new:
                with stores.trust.change(_about("key-pin", organization, digest, new)):
                    for each in new:
                        stores.directory.local.pin(
                            organization.id, digest, each, now=datetime.now(UTC)
                        )
            done = "is now" if new else "was already"
            say(f"The key {digest} {done} pinned to {organization.id}.")


@app.command()
def unpin(
    context: typer.Context,
    key: KeyArgument,
    spki: Annotated[str, typer.Option(help="SHA-256 of its SubjectPublicKeyInfo.")],
    use: Uses = None,
) -> None:
    """Forget a pinned key."""
    home, settings, wiring = opened(context)
    digest = parse_pin(spki)
    with wiring.stores(home, settings) as stores:
        organization = _organization(stores, key)
        held = _pinned(stores, organization.id, digest)
        going = [each for each in use or list(PinUse) if each in held]
        if not going:
            note(f"{organization.id} has no such pin; nothing was changed.")
            raise typer.Exit(Exit.NOT_GOOD)
        with stores.trust.change(_about("key-unpin", organization, digest, going)):
            for each in going:
                stores.directory.local.unpin(organization.id, digest, each)
    if use is None:
        forget_peer_certificate(home, organization.id, digest)
    say(f"The pin was removed from {organization.id}.")


@app.command()
def suspend(
    context: typer.Context,
    key: KeyArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
) -> None:
    """Stop exchanging with an organisation, in both directions."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        organization = _organization(stores, key)
        change = _about("peer-suspend", organization, private={"reason": reason})
        with stores.trust.change(change):
            stores.directory.local.suspend(organization.id, reason, now=datetime.now(UTC))
    say(f"{organization.id} is suspended: it is neither asked nor answered.")


@app.command()
def resume(context: typer.Context, key: KeyArgument) -> None:
    """Exchange with a suspended organisation again."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        organization = _organization(stores, key)
        with stores.trust.change(_about("peer-resume", organization)):
            stores.directory.local.resume(organization.id, now=datetime.now(UTC))
    say(f"{organization.id} is no longer suspended.")


@app.command()
def scorecard(context: typer.Context, key: KeyArgument, as_json: JsonOption = False) -> None:
    """Show what the log says of a peer over 7, 30 and 90 days, each number with its filter."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        organization = _organization(stores, key)
        if organization.home_community_id is None:
            note(f"{organization.id} has no home community id, so the log has nothing about it.")
            raise typer.Exit(Exit.NOT_GOOD)
        show_scorecard(
            stores,
            home,
            organization.home_community_id,
            days=settings.log.tally_days,
            now=datetime.now(UTC),
            as_json=as_json,
        )


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
        organization = _organization(stores, key)
        if setting is not None:
            name, _, value = setting.partition("=")
            change = _about(
                "profile-change",
                organization,
                setting=name,
                private={"value": value, "before": organization.profile.get(name)},
            )
            with stores.trust.change(change):
                stores.directory.local.set_profile(
                    organization.id, name, value or None, now=datetime.now(UTC)
                )
        found = stores.directory.by_id(organization.id)
    own = dict(found.profile) if found else {}
    values = effective_profile(own)
    if as_json:
        print_json(values)
        return
    print_table(
        ("setting", "value", ""),
        [(name, value, "set here" if name in own else "") for name, value in values.items()],
        empty="There is no setting.",
    )


peer_probe.add_to(app)


def _about(
    act: str,
    organization: Organization,
    digest: str | None = None,
    uses: Sequence[PinUse] = (),
    **more: Any,
) -> TrustChange:
    return TrustChange(
        act=act,
        organization_id=organization.id,
        home_community_id=organization.home_community_id,
        key=digest,
        uses=tuple(map(str, uses)),
        **more,
    )


def _pinned(stores: Stores, identity: str, digest: str) -> frozenset[PinUse]:
    """What a key is pinned for by us; what the network list pins is not ours to change."""
    pins = stores.directory.local.pins(identity)
    return frozenset(pin.use for pin in pins if pin.spki == digest and not pin.listed)


def _organization(stores: Stores, key: str) -> Organization:
    found = stores.directory.search(key, limit=1).organizations
    if not found:
        note(
            f"The directory has no organisation {key}. Next: directory find, directory import FILE"
        )
        raise typer.Exit(Exit.NOT_GOOD)
    return found[0]
