"""``tefca-node init``: a node home from nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.ca import NAME as CA_NAME
from node.cli.home import context_of, record, recorded
from node.cli.output import say
from node.errors import CodedError, OurFault
from node.identity import Role, passphrase, plain_files
from node.identity_store import versions
from node.ledger.trust_change import TrustChange
from node.policy.purposes import purpose_register
from node.settings import load_settings, parse_settings
from node.setup import OPERATOR, NewNode, issue_all, load_ca, make_ca, make_home, settings_text
from node.trust_changes import of_anchor, of_client, of_identity
from trust.anchors import Anchor, find_anchor, load_anchors
from trust.certificates import fingerprint
from trust.lifecycle import active


def init(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="The organisation's name.")],
    hcid: Annotated[str, typer.Option(help="Home community id, urn:oid:...")],
    organization_id: Annotated[
        str, typer.Option(help="Id of our directory entry; default: the HCID's OID.")
    ] = "",
    purpose: Annotated[
        list[str] | None, typer.Option(help="A purpose we ask for, e.g. T-TRTMNT; repeatable.")
    ] = None,
    public_url: Annotated[str, typer.Option(help="How peers reach us.")] = "https://localhost:8443",
    port: Annotated[int, typer.Option(help="Where the gateway listens.")] = 8443,
    host: Annotated[str, typer.Option(help="The address it listens on.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(help="Where local clients ask.")] = 8444,
    ops_port: Annotated[int, typer.Option(help="Metrics and health.")] = 8445,
    console_port: Annotated[int, typer.Option(help="The console, for browsers.")] = 8447,
    database_url: Annotated[
        str, typer.Option(help="PostgreSQL instead of SQLite; ${NAME} takes it from a variable.")
    ] = "",
    development_ca: Annotated[
        Path | None,
        typer.Option(help="For tests: take all certificates from the CA in this folder."),
    ] = None,
) -> None:
    """Make a node home: settings, folders, the ledger's key, the local clients' CA."""
    home = context_of(context).home
    register = purpose_register()
    for code in purpose or ():
        if register.by_code(code) is None:
            raise typer.BadParameter(
                f"There is no purpose {code}. There are: {', '.join(register.purposes)}.",
                param_hint="--purpose",
            )
    oid = hcid.removeprefix("urn:oid:")
    node = NewNode(
        name=name,
        home_community_id=f"urn:oid:{oid}",
        organization_id=organization_id or oid,
        public_url=public_url,
        host=host,
        port=port,
        grpc_port=grpc_port,
        ops_port=ops_port,
        console_port=console_port,
        initiates=tuple(purpose or ()),
    )
    extra = f"\n[storage]\ndatabase_url = {json.dumps(database_url)}\n" if database_url else ""
    parse_settings(settings_text(node, extra))  # a wrong HCID is told before anything is made
    now = datetime.now(UTC)
    for made in make_home(home, node, now=now, extra=extra):
        say(f"Made {made}.")
    operator = of_client(OPERATOR, plain_files(home, OPERATOR))
    _record(context, [*_anchors_added(load_anchors(home.client_anchors)), operator])
    if development_ca is None:
        _say_next(home.path, "cert request", "cert import ROLE FILE, for server, client and saml")
        return
    settings = load_settings(home)
    if (development_ca / f"{CA_NAME}.pem").exists():
        authority = load_ca(development_ca, CA_NAME, passphrase=passphrase(settings))
    else:
        authority = make_ca(
            development_ca, CA_NAME, "Development CA", passphrase=passphrase(settings), now=now
        )
        say(f"Made a development CA in {development_ca}.")
    trusted = TrustChange(act="anchor-add", thing=fingerprint(authority.certificate))
    with recorded(context, trusted) as change:
        issue_all(home, settings, authority, now=now)
        change.add(of_anchor("anchor-add", find_anchor(home.anchors, str(trusted.thing))))
    in_use = {role: active(versions(home, role, now=now)) for role in Role}
    _record(
        context,
        [of_identity("identity-switch", role, found) for role, found in in_use.items() if found],
    )
    say("Issued the server, client and saml certificates by the development CA, and trusted it.")
    _say_next(home.path)


def _record(context: typer.Context, made: list[TrustChange]) -> None:
    """Write down what was made together with its log.

    Raises:
        OurFault: ``trust-change-unrecorded``; the home stands all the same.
    """
    try:
        record(context, made)
    except CodedError as error:
        raise OurFault(
            "trust-change-unrecorded",
            "The node home was made, but its log did not take the entries about its anchors and "
            "identities.",
            detail=error.code,
        ) from error


def _anchors_added(anchors: tuple[Anchor, ...]) -> list[TrustChange]:
    return [of_anchor("anchor-add", anchor) for anchor in anchors]


def _say_next(home: Path, *first: str) -> None:
    """The way from here to a node that exchanges."""
    steps = (
        *first,
        "anchor add FILE, for the CA of each network",
        "directory export --self --out own.json, then directory import own.json --source own",
        "directory import FILE, for the directory of the network",
        "records add FOLDER",
        "doctor, then serve",
    )
    say("Next, in this order:")
    for step in steps:
        say(f"  tefca-node --home {home} {step}")
