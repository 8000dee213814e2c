"""``tefca-node log witness``: with whom we agreed to witness each other's logs."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated
from urllib.parse import urljoin

import typer

from directory.model import LOG_KEY, WITNESS_KEY, Organization
from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.ledger.leaf import from_time, milliseconds
from node.ledger.tlog.note import VerifierKey, parse_verifier_key, to_base64
from node.ledger.trust_change import TrustChange
from node.ledger.witness import witnessed_logs
from node.ledger.witness_peers import (
    WitnessPeer,
    accept_peer,
    checked,
    needed,
    remove_peer,
    witness_peers,
)
from node.ledger.witness_policy import policy_text
from node.log_origin import origin_of
from node.published_keys import published_keys
from node.settings import NodeHome, Settings
from node.yearly_sealer import begun_origin, sealed_years, verifier_keys

app = typer.Typer(
    help="Witnesses: those who sign our log's checkpoints, and whose we sign.",
    no_args_is_help=True,
)

PeerArgument = Annotated[str, typer.Argument(help="The entry's id or home community id.")]


@app.command("add")
def add(
    context: typer.Context,
    peer: PeerArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the keys.")] = False,
) -> None:
    """Accept the log and witness keys that a peer's entry shows; again when they have changed."""
    home, settings, wiring = opened(context)
    now = datetime.now(UTC)
    with wiring.stores(home, settings) as stores:
        found = stores.directory.search(peer, limit=1).organizations
        if not found:
            note(f"The directory has no organisation {peer}. Next: directory import FILE")
            raise typer.Exit(Exit.NOT_GOOD)
        accepted = _shown(found[0], now)
        others = witness_peers(stores.engine)
        checked(accepted, others, _own_keys(home, settings, now))
        if not dry_run:
            with stores.trust.change(_about("witness-add", found[0], accepted)):
                accept_peer(stores.engine, accepted)
    for key in accepted.log_keys:
        say(f"log     {key}")
    for key in accepted.witness_keys:
        say(f"witness {key}")
    if dry_run:
        say("Nothing was changed.")
        return
    name = accepted.organization_id
    if accepted.log_keys:
        say(f"We witness the log of {name}.")
    if accepted.witness_keys:
        say(f"{name} witnesses our log, once its operator has accepted ours as well.")


@app.command("remove")
def remove(context: typer.Context, peer: PeerArgument) -> None:
    """End it on our side: neither do we witness its log, nor is it asked to witness ours."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        found = stores.directory.search(peer, limit=1).organizations
        identity = found[0].id if found else peer
        known = {each.organization_id: each for each in witness_peers(stores.engine)}
        if identity not in known:
            note(f"{peer} is no witness. Next: log witness list")
            raise typer.Exit(Exit.NOT_GOOD)
        change = TrustChange(act="witness-remove", organization_id=identity)
        with stores.trust.change(change):
            remove_peer(stores.engine, identity)
    say(f"{identity} is no witness any more; what we signed of its log stays known.")


@app.command("list")
def list_witnesses(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show who witnesses our log and how that goes, whose logs we witness, and our own keys."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        peers, logs = witness_peers(stores.engine), witnessed_logs(stores.engine)
    shown = published_keys(home, settings, now=datetime.now(UTC))
    own = [key for key in shown if key.use in (LOG_KEY, WITNESS_KEY)]
    if as_json:
        print_json(
            {
                "own": [{"use": k.use, "vkey": k.value, "address": k.address} for k in own],
                "quorum": needed(peers, settings.log.witness_quorum),
                "witnesses": [_plain(peer) for peer in peers],
                "logs": [
                    {
                        "origin": log.origin,
                        "size": log.size,
                        "root": to_base64(log.root),
                        "signed": _when(log.t),
                    }
                    for log in logs
                ],
            }
        )
        return
    for key in own:
        say(f"our {key.use:7} {key.value}")
    say("")
    print_table(
        ("peer", "name", "signs ours", "last", "at size", "not since", "why", "its log"),
        [
            (
                peer.organization_id,
                peer.name,
                "yes" if peer.is_witness else "no",
                _when(peer.cosigned),
                peer.size,
                _when(peer.failing),
                peer.failure,
                peer.log_keys[0].name if peer.log_keys else "",
            )
            for peer in peers
        ],
        empty="Nobody witnesses our log, and we witness nobody's. Next: log witness add PEER",
    )
    if peers:
        say(f"{needed(peers, settings.log.witness_quorum)} must have signed (log.witness_quorum).")
    for log in logs:
        say(f"we signed {log.origin} at size {log.size}, {_when(log.t)}")


@app.command("policy")
def policy(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Write it here.")] = None,
    year: Annotated[int | None, typer.Option(help="Of which log; the newest if left out.")] = None,
) -> None:
    """Write a policy for auditors of our log: keys, witnesses, how many must have signed."""
    home, settings, wiring = opened(context)
    now = datetime.now(UTC)
    years = sealed_years(home)
    chosen = year or (years[-1] if years else now.year)
    origin = begun_origin(home, chosen) or origin_of(settings, chosen)
    with wiring.stores(home, settings) as stores:
        peers = witness_peers(stores.engine)
    text = policy_text(
        verifier_keys(home, settings, origin, now=now),
        urljoin(settings.listen.public_url, f"/log/{chosen}"),
        peers,
        settings.log.witness_quorum,
    )
    if out is None:
        say(text.rstrip("\n"))
        return
    out.write_text(text, encoding="ascii")
    say(f"Wrote the policy of {origin} to {out}: give it to who checks the log.")


def _shown(entry: Organization, now: datetime) -> WitnessPeer:
    """What an entry shows. Raises ``LogError`` ``log-key-invalid``."""
    witnesses = entry.published(WITNESS_KEY)
    return WitnessPeer(
        organization_id=entry.id,
        name=entry.name,
        address=next((key.address for key in witnesses if key.address), ""),
        log_keys=tuple(parse_verifier_key(key.value) for key in entry.published(LOG_KEY)),
        witness_keys=tuple(parse_verifier_key(key.value) for key in witnesses),
        added=milliseconds(now),
    )


def _own_keys(home: NodeHome, settings: Settings, now: datetime) -> tuple[VerifierKey, ...]:
    shown = published_keys(home, settings, now=now)
    return tuple(
        parse_verifier_key(key.value) for key in shown if key.use in (LOG_KEY, WITNESS_KEY)
    )


def _about(act: str, entry: Organization, peer: WitnessPeer) -> TrustChange:
    keys = [str(key) for key in (*peer.log_keys, *peer.witness_keys)]
    return TrustChange(
        act=act,
        organization_id=entry.id,
        home_community_id=entry.home_community_id,
        thing=sha256("\n".join(keys).encode()).hexdigest(),
        private={"keys": keys, "address": peer.address},
    )


def _plain(peer: WitnessPeer) -> dict[str, object]:
    return {
        "organization_id": peer.organization_id,
        "name": peer.name,
        "address": peer.address,
        "log_vkeys": [str(key) for key in peer.log_keys],
        "witness_vkeys": [str(key) for key in peer.witness_keys],
        "cosigned": _when(peer.cosigned),
        "size": peer.size,
        "failing_since": _when(peer.failing),
        "failure": peer.failure,
    }


def _when(t: int | None) -> str | None:
    return None if t is None else from_time(datetime.fromtimestamp(t / 1000, UTC))
