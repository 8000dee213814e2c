"""``tefca-node network``, the member's side: join, sync, look, approve."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, counted, note, print_json, print_table, say
from node.identity import network_anchors
from node.ledger.trust_change import TrustChange
from node.network_list import (
    approve_list,
    leave_network,
    leaving,
    membership_of,
    sync_network,
)
from trust.errors import TrustError
from trust.network_list.change import ListChange
from trust.network_list.staleness import Level

_MOST = 50


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (join, sync, status, diff, approve, leave):
        app.command()(command)


def join(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="https URL or folder of the list.")],
    root_fingerprint: Annotated[
        str, typer.Option(help="SHA-256 of the network's root, told by another way.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Join a network: pin its root and fetch its list."""
    home, settings, wiring = opened(context)
    membership = membership_of(home, settings)
    told = {"url": url, "root_fingerprint": root_fingerprint}
    with wiring.stores(home, settings) as stores:
        with stores.trust.change(TrustChange(act="network-join", private=told)) as made:
            joined = membership.join(url, root_fingerprint)
            made.add(TrustChange(act="network-join", thing=joined.root_fingerprint))
        report, taken = sync_network(
            membership, stores.directory, stores.trust, now=datetime.now(UTC)
        )
    if as_json:
        print_json({"joined": joined, "sync": report, "directory": taken})
        return
    say(f"Joined {joined.url}: {taken.added + taken.changed} organisations are in the directory.")
    for anchor in (a for a in network_anchors(home) if a.listed):
        say(f"The list's CA {anchor.label} is trusted: {anchor.fingerprint}.")
    say(report.standing.sentence)


def sync(context: typer.Context, as_json: JsonOption = False) -> None:
    """Fetch the newest list; a large change waits for approval (exit code 1)."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        try:
            report, taken = sync_network(
                membership_of(home, settings),
                stores.directory,
                stores.trust,
                now=datetime.now(UTC),
            )
        except TrustError as error:
            if membership_of(home, settings).joined() is not None:
                stores.trust.fact(TrustChange(act="list-refuse", reason=error.code))
            raise
    if as_json:
        print_json({"sync": report, "directory": taken})
    else:
        _tell(report.change)
        say(report.standing.sentence)
        if not report.applied:
            _tell_waiting(report.change)
    if not report.applied:
        raise typer.Exit(Exit.NOT_GOOD)


def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the list in use, its age, and what waits; exit code 1 unless it is fresh."""
    home, settings, _ = opened(context)
    found = membership_of(home, settings).status(now=datetime.now(UTC))
    listed, standing = found.applied, found.standing
    if as_json:
        print_json(
            {
                "joined": found.joined,
                "network": listed.policy.network if listed else None,
                "digest": listed.digest if listed else None,
                "version": listed.version if listed else None,
                "root_version": listed.root_version if listed else None,
                "signed_at": listed.signed_at if listed else None,
                "expires": listed.expires if listed else {},
                "standing": standing,
                "denied": len(listed.deny.keys) + len(listed.deny.certificates) if listed else 0,
                "contested": listed.contested if listed else (),
                "waiting": found.waiting,
            }
        )
    else:
        say(f"The list comes from {found.joined.url}.")
        if listed is not None and standing is not None:
            say(f"{listed.policy.network}, version {listed.version} ({listed.digest[:16]}).")
            say(standing.sentence)
            print_table(
                ("QHIN", "version", "entries", "good until", ""),
                [
                    (p.qhin, p.version, len(p.entries), f"{p.expires:%Y-%m-%d}", p.fault)
                    for p in listed.qhins
                ],
                empty="No QHIN has published entries yet.",
            )
            say(f"{len(listed.deny.keys) + len(listed.deny.certificates)} keys are denied.")
            for contest in listed.contested:
                note(contest.sentence)
        if found.waiting is not None:
            _tell_waiting(found.waiting)
    if standing is None or standing.level is not Level.FRESH or found.waiting is not None:
        raise typer.Exit(Exit.NOT_GOOD)


def diff(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show what the list that waits would change."""
    home, settings, _ = opened(context)
    change = membership_of(home, settings).diff()
    if as_json:
        print_json(change)
    elif change is None:
        say("No list waits for approval.")
    else:
        _tell(change, most=None)
        _tell_waiting(change)


def approve(
    context: typer.Context,
    digest: Annotated[str, typer.Argument(help="The digest that `network diff` showed.")],
) -> None:
    """Use the list that waits."""
    home, settings, wiring = opened(context)
    membership = membership_of(home, settings)
    now = datetime.now(UTC)
    with wiring.stores(home, settings) as stores:
        listed, taken = approve_list(membership, stores.directory, stores.trust, digest, now=now)
    say(
        f"Version {listed.version} is in use: {taken.added} organisations are new, "
        f"{taken.changed} changed, {taken.removed} gone."
    )


def leave(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; do nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Leave the network: its entries, keys, CAs and denials count no more."""
    home, settings, wiring = opened(context)
    membership = membership_of(home, settings)
    with wiring.stores(home, settings) as stores:
        if dry_run:
            ends = leaving(membership, stores.directory)
        else:
            ends, _ = leave_network(membership, stores.directory, stores.trust)
    own_too = settings.node.organization_id in ends.organizations
    if as_json:
        print_json(
            {
                "left": not dry_run,
                "joined": ends.joined,
                "organizations": sorted(ends.organizations),
                "own_entry": own_too,
                "anchors": [anchor.fingerprint for anchor in ends.anchors],
                "denied": ends.denied,
                "unreadable": ends.unreadable,
            }
        )
        return
    say("Leaving would mean:" if dry_run else "The network was left.")
    if ends.unreadable:
        note(f"The list in use cannot be read [{ends.unreadable}].")
    say(f"Gone from the directory: {counted(len(ends.organizations), 'organisation')}.")
    for anchor in ends.anchors:
        say(f"Trusted no more by a list: the CA {anchor.label}, {anchor.fingerprint}.")
    say(f"Lifted: {counted(ends.denied, 'denial')}.")
    if own_too:
        say("Our own entry came from the list: without it nothing can be asked.")
        say("Next: directory export --self --out own.json, directory import own.json")
    if dry_run:
        say("Nothing was changed.")


def _tell(change: ListChange, *, most: int | None = _MOST) -> None:
    if not change.sentences:
        say("Nothing has changed.")
    for sentence in change.sentences[:most]:
        say(sentence)
    if most is not None and len(change.sentences) > most:
        note(f"There are {len(change.sentences) - most} more changes: --json shows all.")


def _tell_waiting(change: ListChange) -> None:
    for reason in change.approval:
        say(reason)
    say(f"This waits for you. Next: network diff, network approve {change.after[:16]}")
