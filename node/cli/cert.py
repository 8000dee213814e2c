"""``tefca-node cert``: our own keys and certificates, one identity per role."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from directory.model import endpoint_hosts
from node.cli.cert_inspect import inspect
from node.cli.cert_versions import DryRunOption, plan, put_in_use, retire, status, switch
from node.cli.exits import Exit
from node.cli.home import Wiring, opened, record, recorded
from node.cli.identities import (
    CertifiedArgument,
    OptionalIdentity,
    PurposeOption,
    certified_of,
    requested,
    signs_in_token,
)
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.errors import CodedError
from node.identity import (
    Certified,
    FhirClient,
    FhirServer,
    LogKey,
    Role,
    certified,
    identity_files,
    network_anchors,
    passphrase,
)
from node.identity_store import versions
from node.ledger.trust_change import TrustChange
from node.log_keys import make_log_key
from node.renewal import stage
from node.settings import NodeHome, Settings
from node.setup import fhir_uri, own_host, request_certificate
from node.trust_changes import of_identity
from trust.certificates import arrange, describe, fingerprint, load_certificates
from trust.keys import spki_sha256
from trust.lifecycle import State, active, waiting
from trust.live_revocation import LiveRevocations

app = typer.Typer(help="Our own keys and certificates.", no_args_is_help=True)


@app.command()
def request(
    context: typer.Context,
    roles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ROLE]...",
            help="server, client, saml (all three if left out), fhir with --purpose, log.",
        ),
    ] = None,
    purpose: PurposeOption = None,
    host: Annotated[
        list[str] | None, typer.Option(help="A host name to cover; default: that of public_url.")
    ] = None,
    uri: Annotated[
        str | None, typer.Option(help="The client URI of a FHIR client; default: below public_url.")
    ] = None,
    same_key: Annotated[
        bool, typer.Option("--same-key", help="Renew the key in use instead of making a new one.")
    ] = False,
    in_token: Annotated[
        bool, typer.Option("--in-token", help="Make a signing key in the PKCS#11 token.")
    ] = False,
    key_label: Annotated[
        str, typer.Option(help="With --in-token: the key's label, which may be there already.")
    ] = "",
    dry_run: DryRunOption = False,
) -> None:
    """Make a key beside the one in use, and a signing request for it."""
    home, settings, _ = opened(context)
    asked = requested(roles or (), purpose or ())
    if in_token and not all(signs_in_token(each) for each in asked):
        raise typer.BadParameter("--in-token is for saml and fhir: TLS and the log need key files.")
    if key_label and not (in_token and len(asked) == 1):
        raise typer.BadParameter("--key-label needs --in-token and one identity.")
    for role in asked:
        if isinstance(role, LogKey):
            _request_log_key(context, home, settings, role, dry_run=dry_run)
            continue
        records = versions(home, role, now=datetime.now(UTC))
        had_key = waiting(records) is not None or (same_key and active(records) is not None)
        if dry_run:
            say(f"Would {'keep' if had_key else 'make'} the {role} key and ask with it.")
            continue
        with recorded(context, TrustChange(act="identity-request", role=role.value)) as made:
            files = request_certificate(
                home,
                settings,
                role,
                hosts=tuple(host or ()),
                uri=uri,
                same_key=same_key,
                in_token=key_label if in_token else None,
            )
            records = versions(home, role, now=datetime.now(UTC))
            if asking := waiting(records) or active(records):
                made.add(of_identity("identity-request", role, asking))
        say(f"The private key {files.key} was {'kept' if had_key else 'made'}.")
        say(f"The signing request is {files.request}.")
    if dry_run:
        say("Nothing was changed.")
        return
    if any(not isinstance(role, LogKey) for role in asked):
        say("Next: send the requests to your CA, then tefca-node cert import ROLE FILE for each.")
    if passphrase(settings) is None:
        note(f"New keys are not encrypted: {settings.trust.passphrase_env} is not set.")


def _request_log_key(
    context: typer.Context, home: NodeHome, settings: Settings, name: LogKey, *, dry_run: bool
) -> None:
    if dry_run:
        say(f"Would make a {name} key.")
        return
    with recorded(context, TrustChange(act="key-make", role=name.value)) as change:
        made = make_log_key(home, settings, now=datetime.now(UTC), name=name)
        change.add(of_identity("key-make", name, made))
    if made.state is State.ACTIVE:
        record(context, [of_identity("identity-switch", name, made)])
    say(f"Version {made.version} of the {name} key was made, SPKI SHA-256 {made.spki_sha256}.")
    if made.state is State.ACTIVE:
        say("It is in use.")
    else:
        say(f"Next: have whoever checks with it know it, then tefca-node cert switch {name}.")


@app.command("import")
@app.command("install", hidden=True)  # the same under its other name
def import_certificate(
    context: typer.Context,
    role: CertifiedArgument,
    file: Annotated[Path, typer.Argument(help="PEM: the certificate and its intermediates.")],
    use: Annotated[
        bool | None,
        typer.Option(
            "--switch/--stage",
            help="Put it in use at once, or keep it for cert switch. Left out: a certificate "
            "with a new key waits, so that peers can pin that key first.",
        ),
    ] = None,
    uri: Annotated[
        str | None, typer.Option(help="The URI a FHIR client asked for, if it was not the default.")
    ] = None,
    allow_used_key: Annotated[
        bool,
        typer.Option(
            "--allow-used-key",
            help="Take a key that an earlier version or another identity has used.",
        ),
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Check a certificate that was issued for our key, try it out, and put it in place."""
    home, settings, wiring = opened(context)
    identity, now = certified_of(role), datetime.now(UTC)
    first = active(versions(home, identity, now=now)) is None
    revocations = LiveRevocations(home.crls, network_anchors(home), now=now)
    bundle = arrange(load_certificates(file))
    change = TrustChange(
        act="identity-import", role=identity.value,
        thing=fingerprint(bundle.leaf), key=spki_sha256(bundle.leaf),
    )  # fmt: skip
    hosts = _own_hosts(home, settings, wiring) if identity is Role.SERVER else ()
    with recorded(context, change, dry_run=dry_run) as made:
        staged = stage(
            home,
            settings,
            identity,
            bundle,
            hosts=hosts,
            uris=(uri or fhir_uri(settings, identity),)
            if isinstance(identity, FhirClient | FhirServer)
            else (),
            revocation=lambda path: revocations.judge(tuple(path), now=now),
            allow_used_key=allow_used_key,
            now=now,
            dry_run=dry_run,
        )
        made.add(TrustChange(act="identity-import", version=staged.version))
        if not staged.verdict.ok:
            made.refuse(staged.verdict.refusals[0].code)
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
        put_in_use(context, identity, staged.version, dry_run=False)
    else:
        say(f"Version {staged.version} of the {role} identity passed its checks and its trial.")
        say(f"Next: have peers pin its key, then tefca-node cert switch {role}.")


def _own_hosts(home: NodeHome, settings: Settings, wiring: Wiring) -> tuple[str, ...]:
    """The host of public_url, then those of every endpoint that the directory lists for us."""
    own = own_host(settings)
    try:
        with wiring.stores(home, settings) as stores:
            entry = stores.directory.by_id(settings.node.organization_id)
    except CodedError as error:
        note(f"The directory could not be asked for our endpoints: {error.sentence}")
        return (own,)
    listed = endpoint_hosts(entry) if entry is not None else frozenset()
    return (own, *sorted(listed - {own}))


@app.command()
def show(
    context: typer.Context,
    role: OptionalIdentity = None,
    as_json: JsonOption = False,
) -> None:
    """Show our certificates: names, issuer, expiry, key."""
    home, settings, _ = opened(context)
    chosen = (certified_of(role),) if role else certified(home)
    rows = [_row(home, settings, each) for each in chosen]
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


def _row(home: NodeHome, settings: Settings, role: Certified) -> dict[str, object]:
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
        "names": ", ".join((*described.dns_names, *described.ip_addresses, *described.uris)),
        "until": described.not_after.date().isoformat(),
        **described.as_json(),
    }


for each in (status, switch, retire, inspect, plan):
    app.command()(each)
