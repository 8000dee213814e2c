"""``tefca-node cert``: our own keys and certificates, one identity per role."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.cert_versions import DryRunOption, add_commands, put_in_use
from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.identity import Role, identity_files, passphrase
from node.identity_store import versions
from node.renewal import stage
from node.settings import NodeHome, Settings
from node.setup import own_host, request_certificate
from trust.certificates import arrange, describe, load_certificates
from trust.lifecycle import active, waiting

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
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Begin with a new key beside the one in use.")
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Make a key, if there is none yet, and a signing request for it."""
    home, settings, _ = opened(context)
    for role in roles or list(Role):
        waits = waiting(versions(home, role, now=datetime.now(UTC))) is not None
        had_key = identity_files(home, role).key.exists() and (waits or not new_key)
        if dry_run:
            say(f"Would {'keep' if had_key else 'make'} the {role} key and ask with it.")
            continue
        files = request_certificate(home, settings, role, hosts=tuple(host or ()), new_key=new_key)
        say(f"The private key {files.key} was {'kept' if had_key else 'made'}.")
        say(f"The signing request is {files.request}.")
    if dry_run:
        say("Nothing was changed.")
        return
    say("Next: send the requests to your CA, then tefca-node cert import ROLE FILE for each.")
    if passphrase(settings) is None:
        note(f"New keys are not encrypted: {settings.trust.passphrase_env} is not set.")


@app.command("import")
def import_certificate(
    context: typer.Context,
    role: RoleArgument,
    file: Annotated[Path, typer.Argument(help="PEM: the certificate and its intermediates.")],
    use: Annotated[
        bool | None,
        typer.Option(
            "--switch/--stage",
            help="Put it in use at once, or keep it for cert switch. Left out: a certificate "
            "with a new key waits, so that peers can pin that key first.",
        ),
    ] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Check a certificate that was issued for our key, try it out, and put it in place."""
    home, settings, _ = opened(context)
    now = datetime.now(UTC)
    hosts = (own_host(settings),) if role is Role.SERVER else ()
    first = active(versions(home, role, now=now)) is None
    staged = stage(
        home, settings, role, arrange(load_certificates(file)),
        hosts=hosts, now=now, dry_run=dry_run,
    )  # fmt: skip
    for finding in staged.verdict.warnings:
        note(f"Warning: {finding.sentence} ({finding.code})")
    if not staged.verdict.ok:
        for finding in staged.verdict.refusals:
            note(f"Refused: {finding.sentence} ({finding.code})")
        note("Nothing was changed." if staged.version is None else "What is in use stays in use.")
        raise typer.Exit(Exit.NOT_GOOD)
    at_once = first or staged.renews if use is None else use
    if dry_run:
        say(f"It would become version {staged.version}{' and be put in use' if at_once else ''}.")
        say("Nothing was changed.")
    elif at_once:
        put_in_use(home, settings, role, staged.version, dry_run=False)
    else:
        say(f"Version {staged.version} of the {role} identity passed its checks and its trial.")
        say(f"Next: have peers pin its key, then tefca-node cert switch {role}.")


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


add_commands(app)
