"""``tefca-node cert``: our own keys and certificates, one identity per role."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.identity import Role, identity_files, network_anchors, passphrase
from node.settings import NodeHome, Settings
from node.setup import own_host, request_certificate
from trust.anchors import authorised
from trust.certificate_import import ImportContext, check_import
from trust.certificates import arrange, describe, load_certificates
from trust.chain import Strength
from trust.files import write_file
from trust.keys import load_key

app = typer.Typer(help="Our own keys and certificates.", no_args_is_help=True)

RoleArgument = Annotated[Role, typer.Argument(help="server, client or saml.")]


@app.command()
def request(
    context: typer.Context,
    roles: Annotated[
        list[Role] | None, typer.Argument(help="server, client, saml; all if left out.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="A host name to cover; default: that of public_url.")
    ] = None,
) -> None:
    """Make a key, if there is none yet, and a signing request for it."""
    home, settings, _ = opened(context)
    for role in roles or list(Role):
        had_key = identity_files(home, role).key.exists()
        files = request_certificate(home, settings, role, hosts=tuple(host or ()))
        say(f"The private key {files.key} was {'kept' if had_key else 'made'}.")
        say(f"The signing request is {files.request}.")
    say("Next: send the requests to your CA, then tefca-node cert import ROLE FILE for each.")
    if passphrase(settings) is None:
        note(f"New keys are not encrypted: {settings.trust.passphrase_env} is not set.")


@app.command("import")
def import_certificate(
    context: typer.Context,
    role: RoleArgument,
    file: Annotated[Path, typer.Argument(help="PEM: the certificate and its intermediates.")],
) -> None:
    """Check a certificate that was issued for our key, and put it in place."""
    home, settings, _ = opened(context)
    files = identity_files(home, role)
    bundle = arrange(load_certificates(file))
    anchors = authorised(network_anchors(home))
    verdict = check_import(
        bundle,
        ImportContext(
            key=load_key(files.key, passphrase=passphrase(settings)),
            usages=role.usages,
            hosts=(own_host(settings),) if role is Role.SERVER else (),
            anchors=tuple(anchors[role.usages[0]]),
            floor=Strength(settings.trust.minimum_strength),
        ),
        now=datetime.now(UTC),
    )
    for finding in verdict.warnings:
        note(f"Warning: {finding.sentence} ({finding.code})")
    if not verdict.ok:
        for finding in verdict.refusals:
            note(f"Refused: {finding.sentence} ({finding.code})")
        note("Nothing was changed.")
        raise typer.Exit(Exit.NOT_GOOD)
    write_file(files.certificate, bundle.pem(), replace=True)
    say(
        f"The {role} certificate is now {files.certificate}, "
        f"valid until {bundle.leaf.not_valid_after_utc:%Y-%m-%d}."
    )
    say("A running node takes it when it is started again.")


@app.command()
def show(
    context: typer.Context,
    role: Annotated[Role | None, typer.Argument(help="One role; all if left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show our certificates: names, issuer, expiry, key."""
    home, settings, _ = opened(context)
    rows = [_row(home, settings, each) for each in ([role] if role else list(Role))]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("role", "state", "names", "issuer", "valid until", "key"),
        [
            (r["role"], r["state"], r.get("names"), r.get("issuer"), r.get("until"), r.get("key"))
            for r in rows
        ],
        empty="There is no identity.",
    )


def _row(home: NodeHome, settings: Settings, role: Role) -> dict[str, object]:
    files = identity_files(home, role)
    if not files.certificate.exists():
        state = "request made" if files.request.exists() else "no certificate"
        return {"role": role.value, "state": state, "own_host": own_host(settings)}
    described = describe(load_certificates(files.certificate)[0])
    now = datetime.now(UTC)
    state = "expired" if described.not_after < now else "valid"
    if described.not_before > now:
        state = "not yet valid"
    return {
        "role": role.value,
        "state": state,
        "names": ", ".join((*described.dns_names, *described.ip_addresses)),
        "until": described.not_after.date().isoformat(),
        **described.as_json(),
    }
