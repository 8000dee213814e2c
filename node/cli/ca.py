"""``tefca-node ca``: a certificate authority for development, never for a production network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from node.ca_crls import der, next_crl, revoke
from node.cli.identities import FHIR, certified_of
from node.cli.output import JsonOption, print_json, say
from node.identity import FhirClient, default_passphrase
from node.setup import load_ca, make_ca, profile_of
from trust.ca import issue
from trust.certificates import Bundle, describe, load_certificates
from trust.csr import load_csr
from trust.files import write_file

app = typer.Typer(help="A CA for development and tests.", no_args_is_help=True)

NAME = "ca"
Folder = Annotated[Path, typer.Option("--ca", help="The CA's folder (ca.key, ca.pem).")]


@app.command()
def create(
    folder: Annotated[Path, typer.Argument(help="A folder for ca.key and ca.pem.")],
    name: Annotated[str, typer.Option(help="The CA's name.")] = "Development CA",
) -> None:
    """Make a development CA."""
    authority = make_ca(folder, NAME, name, passphrase=default_passphrase(), now=datetime.now(UTC))
    described = describe(authority.certificate)
    say(f"The CA's private key is {folder / 'ca.key'}: keep it private.")
    say(f"Its certificate is {folder / 'ca.pem'}: give it to peers.")
    say(
        f"It is valid until {described.not_after:%Y-%m-%d}, "
        f"its fingerprint is {described.fingerprint}."
    )


@app.command("issue")
def issue_certificate(
    request: Annotated[Path, typer.Argument(help="A signing request made by `cert request`.")],
    role: Annotated[
        str, typer.Option("--for", help="What the certificate is for: server, client, saml, fhir.")
    ],
    folder: Folder = Path("ca"),
    out: Annotated[Path | None, typer.Option(help="Where to; next to the request if left out.")] = (
        None
    ),
    days: Annotated[int, typer.Option(min=1, max=825, help="Validity in days.")] = 397,
    crl_url: Annotated[
        list[str] | None, typer.Option(help="Where the CA's CRL will be served.")
    ] = None,
    ago: Annotated[
        int, typer.Option(min=0, max=825, help="Days of its validity that are over already.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Issue a certificate for a signing request."""
    profile = profile_of(FhirClient("ANY") if role == FHIR else certified_of(role))
    authority = load_ca(folder, NAME, passphrase=default_passphrase())
    certificate = issue(
        authority,
        load_csr(request),
        profile=profile,
        now=datetime.now(UTC),
        lifetime=timedelta(days=days),
        crl_urls=crl_url or (),
        age=timedelta(days=ago),
    )
    target = out or request.with_suffix(".crt")
    write_file(target, Bundle(leaf=certificate).pem())
    described = describe(certificate)
    if as_json:
        print_json({"file": target, **described.as_json()})
        return
    names = (*described.dns_names, *described.ip_addresses, *described.uris)
    say(f"The certificate {target} was issued for {', '.join(names)}.")
    say(
        f"It is valid until {described.not_after:%Y-%m-%d}. "
        f"Next: tefca-node cert import {'fhir-PURPOSE' if role == FHIR else role} {target}"
    )


@app.command("revoke")
def revoke_certificate(
    certificate: Annotated[Path, typer.Argument(help="PEM of a certificate that the CA issued.")],
    folder: Folder = Path("ca"),
    out: Annotated[
        Path | None, typer.Option("--crl", help="Write the CA's next CRL here at once.")
    ] = None,
) -> None:
    """Revoke a certificate; the next `ca crl` says so."""
    authority = load_ca(folder, NAME, passphrase=default_passphrase())
    leaf = load_certificates(certificate)[0]
    new = revoke(folder, NAME, authority, leaf, now=datetime.now(UTC))
    said = "is revoked" if new else "was revoked already"
    say(f"The certificate {leaf.serial_number:x} {said}.")
    if out is None:
        say(f"Next: tefca-node ca crl --ca {folder} --out FILE, where its CRL is served.")
    else:
        crl(out, folder)


@app.command()
def crl(
    out: Annotated[Path, typer.Option(help="The file to write, in DER form, as it is served.")],
    folder: Folder = Path("ca"),
    days: Annotated[float, typer.Option(min=0.01, max=90, help="Days until nextUpdate.")] = 7,
) -> None:
    """Write the CA's next CRL: serve it at the address that `ca issue --crl-url` was given."""
    authority = load_ca(folder, NAME, passphrase=default_passphrase())
    now = datetime.now(UTC)
    made = next_crl(folder, NAME, authority, now=now, lifetime=timedelta(days=days))
    write_file(out, der(made), replace=True)
    say(f"The CRL {out} has {len(made)} entries and is good until {now + timedelta(days=days):%F}.")
