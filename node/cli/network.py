"""``tefca-node network``: the signed network list, for who publishes it and for its members."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli import network_member, network_policy
from node.cli.output import JsonOption, print_json, print_table, say
from trust.certificates import fingerprint, load_certificates
from trust.keys import spki_sha256
from trust.network_list.listing import NetworkPolicy
from trust.network_list.names import numbers
from trust.network_list.publishing import Publisher
from trust.network_list.signing_keys import (
    generate_signing_key,
    load_public_key,
    load_signing_key,
    public_path,
    save_signing_key,
)
from trust.network_list.staging import Holders, Signatures, Staging
from trust.network_list.workspace import Workspace
from trust.pins import parse_pin

app = typer.Typer(help="The signed network list.", no_args_is_help=True)
network_member.add_to(app)
app.add_typer(network_policy.anchors, name="anchor")
app.add_typer(network_policy.policy, name="policy")

Folder = Annotated[Path, typer.Argument(help="The network's folder.")]
Qhin = Annotated[str, typer.Argument(help="The QHIN's id, such as 'north'.")]
PassphraseOption = Annotated[
    str, typer.Option("--passphrase-env", help="The variable that opens the key files.")
]
_VARIABLE = "TEFCA_NODE_PASSPHRASE"
Keys = list[Path] | None


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="The private key; FILE.pub is made beside it.")],
    passphrase_env: PassphraseOption = _VARIABLE,
) -> None:
    """Make a key (Ed25519) for a holder of a role, or for a QHIN."""
    save_signing_key(file, generate_signing_key(), passphrase=_passphrase(passphrase_env))
    say(f"The private key is {file}: keep it offline. Hand over {public_path(file)}.")


@app.command()
def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="The network's name.")],
    root_keys: Annotated[Keys, typer.Option("--root-key", help="A holder's .pub file.")] = None,
    root_threshold: Annotated[int, typer.Option(min=1, help="Holders who must sign.")] = (
        numbers()["threshold"]["root"][0]
    ),
    targets_keys: Annotated[Keys, typer.Option("--targets-key", help="A .pub file.")] = None,
    targets_threshold: Annotated[int, typer.Option(min=1, help="Holders who must sign.")] = (
        numbers()["threshold"]["targets"][0]
    ),
    snapshot_key: Annotated[Path | None, typer.Option(help="A .pub file.")] = None,
    timestamp_key: Annotated[Path | None, typer.Option(help="A .pub file.")] = None,
    passphrase_env: PassphraseOption = _VARIABLE,
) -> None:
    """Begin a network; keys that no option names are made in FOLDER/keys."""
    passphrase = _passphrase(passphrase_env)
    counts = numbers()["threshold"]
    keys = folder / "keys"
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)

    def made(role: str, count: int) -> list[Path]:
        files = [
            keys / (f"{role}-{n}.key" if count > 1 else f"{role}.key") for n in range(1, count + 1)
        ]
        for file in files:
            save_signing_key(file, generate_signing_key(), passphrase=passphrase)
        return [public_path(file) for file in files]

    holders = Holders(
        root=[load_public_key(p) for p in root_keys or made("root", counts["root"][1])],
        root_threshold=root_threshold,
        targets=[load_public_key(p) for p in targets_keys or made("targets", counts["targets"][1])],
        targets_threshold=targets_threshold,
        snapshot=[load_public_key(snapshot_key or made("snapshot", 1)[0])],
        timestamp=[load_public_key(timestamp_key or made("timestamp", 1)[0])],
    )
    Staging(folder).create(NetworkPolicy(network=name), holders, now=datetime.now(UTC))
    say(f"The network {name} is in {folder}; {root_threshold} holders must sign its root.")
    if any(keys.iterdir()):
        say(f"The keys are in {keys}: give root and targets keys to their holders, offline.")
    say("Next: network delegate, network add, network sign, network publish")


@app.command()
def delegate(
    folder: Folder,
    qhin: Qhin,
    name: Annotated[str, typer.Option(help="The QHIN's name.")],
    keys: Annotated[list[Path], typer.Option("--key", help="A .pub file of the QHIN.")],
    organization_id: Annotated[str, typer.Option(help="The id of the QHIN's own entry.")],
    threshold: Annotated[int, typer.Option(min=1, help="Keys that must sign.")] = 1,
) -> None:
    """Let a QHIN sign its own entries, and no others."""
    Workspace(folder).delegate(
        qhin,
        name=name,
        keys=[load_public_key(path) for path in keys],
        threshold=threshold,
        organization_id=organization_id,
    )
    say(f"{name} may sign q/{qhin}/*. The holders of the targets role must sign that.")


@app.command()
def cut(folder: Folder, qhin: Qhin) -> None:
    """Take a QHIN's delegation away: all its entries leave the list."""
    if Workspace(folder).cut(qhin):
        say(f"{qhin} signs nothing from the next publication on.")
    else:
        say(f"The network has no QHIN {qhin}; nothing was changed.")


@app.command()
def add(
    folder: Folder,
    qhin: Qhin,
    files: Annotated[list[Path], typer.Argument(help="Entries as JSON, one organisation each.")],
) -> None:
    """Add or replace entries of a QHIN."""
    workspace = Workspace(folder)
    for file in files:
        entry = workspace.add(qhin, file.read_bytes())
        say(f"{entry.name} ({entry.id}) will be listed by {qhin}.")


@app.command()
def remove(
    folder: Folder,
    qhin: Qhin,
    entry_id: Annotated[str, typer.Argument(help="The id of its entry.")],
) -> None:
    """Remove an entry of a QHIN."""
    found = Workspace(folder).remove(qhin, entry_id)
    say(f"{entry_id} {'leaves the list' if found else 'is not there; nothing was changed'}.")


@app.command()
def deny(
    folder: Folder,
    reason: Annotated[str, typer.Option(help="Why; members read it.")],
    spki: Annotated[str | None, typer.Option(help="SHA-256 of a SubjectPublicKeyInfo.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM: deny this certificate and its key.")
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the denial instead.")] = False,
) -> None:
    """Deny a key or a certificate to all members, before anything else about it counts."""
    workspace = Workspace(folder)
    digests: list[tuple[str, bool]] = [(parse_pin(spki), False)] if spki else []
    if certificate is not None:
        leaf = load_certificates(certificate)[0]
        digests += [(spki_sha256(leaf), False), (fingerprint(leaf), True)]
    if not digests:
        raise typer.BadParameter("Name --spki or --certificate.")
    for digest, whole in digests:
        if lift:
            workspace.allow(digest)
        else:
            workspace.deny(digest, reason, certificate=whole, now=datetime.now(UTC))
        say(f"{digest} is {'allowed again' if lift else 'denied'} from the next publication on.")


@app.command()
def sign(
    folder: Folder,
    keys: Annotated[Keys, typer.Option("--key", help="A private key file.")] = None,
    roles: Annotated[list[str] | None, typer.Option("--role", help="Only this role.")] = None,
    passphrase_env: PassphraseOption = _VARIABLE,
    as_json: JsonOption = False,
) -> None:
    """Sign what waits, with one holder's key; without a key, show what waits."""
    staging = Staging(folder)
    staging.stage(now=datetime.now(UTC))
    for path in keys or ():
        signer = load_signing_key(path, passphrase=_passphrase(passphrase_env))
        staging.sign(signer, roles=roles, now=datetime.now(UTC))
    _show(staging.waiting(), as_json=as_json)


@app.command("renew-root")
def renew_root(
    folder: Folder,
    replace: Annotated[
        list[str] | None, typer.Option(help="OLD.pub=NEW.pub: another key in its place.")
    ] = None,
) -> None:
    """Stage the next root, yearly and whenever a key was lost or stolen."""
    staging = Staging(folder)
    held = staging.holders()
    swapped = {}
    for pair in replace or ():
        old, _, new = pair.partition("=")
        swapped[load_public_key(Path(old)).keyid] = load_public_key(Path(new))
    holders = Holders(
        root=[swapped.get(key.keyid, key) for key in held.root],
        root_threshold=held.root_threshold,
        targets=[swapped.get(key.keyid, key) for key in held.targets],
        targets_threshold=held.targets_threshold,
        snapshot=[swapped.get(key.keyid, key) for key in held.snapshot],
        timestamp=[swapped.get(key.keyid, key) for key in held.timestamp],
    )
    staging.renew_root(holders, now=datetime.now(UTC))
    _show(staging.waiting(), as_json=False)


@app.command()
def publish(
    folder: Folder,
    snapshot_key: Annotated[Path | None, typer.Option(help="Default: keys/snapshot.key.")] = None,
    timestamp_key: Annotated[Path | None, typer.Option(help="Default: keys/timestamp.key.")] = None,
    passphrase_env: PassphraseOption = _VARIABLE,
    as_json: JsonOption = False,
) -> None:
    """Write FOLDER/public: serve it by any web server, and run this every few hours."""
    passphrase = _passphrase(passphrase_env)
    publisher = Publisher(folder)
    keys = folder / "keys"
    published = publisher.publish(
        snapshot=load_signing_key(snapshot_key or keys / "snapshot.key", passphrase=passphrase),
        timestamp=load_signing_key(timestamp_key or keys / "timestamp.key", passphrase=passphrase),
        now=datetime.now(UTC),
    )
    if as_json:
        print_json({"published": published, "waiting": publisher.staging.waiting()})
        return
    say(
        f"Published snapshot {published.snapshot_version}, "
        f"timestamp {published.timestamp_version}, in {publisher.workspace.public}."
    )
    say(f"It is good until {published.expires:%Y-%m-%d %H:%M} UTC: publish again before.")
    for each in publisher.staging.waiting():
        say(f"{each.role} waits: {each.signed} of {each.needed} signatures; left as it was.")
    say(f"Tell members the root's fingerprint by another way: {published.root_fingerprint}")


def _show(waiting: tuple[Signatures, ...], *, as_json: bool) -> None:
    if as_json:
        print_json(waiting)
        return
    print_table(
        ("role", "version", "signatures", "needed"),
        [(each.role, each.version, each.signed, each.needed) for each in waiting],
        empty="Nothing waits for a signature. Next: network publish",
    )


def _passphrase(variable: str) -> bytes | None:
    value = os.environ.get(variable)
    return value.encode() if value else None
