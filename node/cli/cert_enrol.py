"""``tefca-node cert enrol|renew``: certificates from a CA that speaks ACME."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from node.cli.cert import app, import_certificate, request
from node.cli.cert_versions import DryRunOption
from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.identities import certified_of
from node.cli.output import note, say
from node.enrolment import Enrolment
from node.errors import CodedError
from node.identity import Role, identity_files, version_files
from node.identity_store import versions
from node.renewal_pace import forget_failures, note_failure, waits_until
from node.settings import NodeHome, Settings
from node.setup import acme_request
from trust.expiry import Kind, calendar
from trust.files import write_file
from trust.lifecycle import active, waiting

SwitchOption = Annotated[
    bool,
    typer.Option("--switch", help="Put it in use at once: only where no peer pins the key."),
]
SameKeyOption = Annotated[
    bool, typer.Option("--same-key", help="Renew the key in use instead of making a new one.")
]


@app.command()
def enrol(
    context: typer.Context,
    role: Annotated[str, typer.Argument(help="server or client.")],
    host: Annotated[
        list[str] | None, typer.Option(help="A host name to cover; default: that of public_url.")
    ] = None,
    same_key: SameKeyOption = False,
    switch: SwitchOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Have the CA of [acme] issue a certificate, check it, try it out, and put it in place."""
    home, settings, _ = opened(context)
    identity = certified_of(role)
    if identity not in (Role.SERVER, Role.CLIENT):
        raise typer.BadParameter("ACME issues for host names: server or client.")
    if dry_run:
        say(f"Would order a certificate for {identity} from {settings.acme.directory_url}.")
        say("Nothing was changed.")
        return
    request(context, roles=[identity.value], host=host, same_key=same_key)
    record = waiting(versions(home, identity, now=datetime.now(UTC)))
    files = version_files(home, identity, record.version) if record else None
    files = files or identity_files(home, identity)
    csr = acme_request(home, settings, files, identity, hosts=tuple(host or ()))
    chain = Enrolment(home, settings).order(csr)
    file = files.key.with_suffix(".acme.crt")
    write_file(file, chain, replace=True)
    say(f"The CA issued {file}.")
    import_certificate(context, identity.value, file, use=switch or None)


@app.command()
def renew(
    context: typer.Context,
    same_key: SameKeyOption = False,
    switch: SwitchOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Enrol again what is due, by the CA's window or by two thirds of its life; for cron."""
    home, settings, _ = opened(context)
    now, failed, done = datetime.now(UTC), False, False
    for role in (Role.SERVER, Role.CLIENT):
        if role.value not in settings.acme.renews or active(versions(home, role, now=now)) is None:
            continue
        later = waits_until(home, role)
        if later is not None and now < later:
            say(f"{role}: the last try failed; the next one is from {later:%Y-%m-%d %H:%M} on.")
            failed = True
            continue
        try:
            if not _due(home, settings, role, now=now):
                say(f"{role}: not due.")
                continue
            enrol(context, role.value, same_key=same_key, switch=switch, dry_run=dry_run)
            done = True
            if not dry_run:
                forget_failures(home, role)
        except (CodedError, typer.Exit) as error:
            failed = True
            later = note_failure(home, role, now=now)
            told = error.sentence if isinstance(error, CodedError) else "its import was refused"
            note(f"{role}: {told} The next try is from {later:%Y-%m-%d %H:%M} on.")
    if not done and not failed:
        say("Nothing is due.")
    if failed:
        raise typer.Exit(Exit.NOT_GOOD)


def _due(home: NodeHome, settings: Settings, role: Role, *, now: datetime) -> bool:
    """By the window that the CA suggests, else by our own rule (facts pki A2)."""
    from node.expiry_calendar import expiring  # noqa: PLC0415 - with TUF, for the list's roles

    leaf = identity_files(home, role).certificate.read_bytes()
    suggested = Enrolment(home, settings).suggested(leaf)
    if suggested is not None:
        return now >= suggested
    found = [d for d in calendar(expiring(home, now=now), now=now)
             if d.item.kind is Kind.CERTIFICATE and d.item.name == role.value]  # fmt: skip
    return any(d.renewal_due for d in found)
