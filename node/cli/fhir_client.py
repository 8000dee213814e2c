"""``tefca-node fhir client``: our own apps and systems. Each change is in the log."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.home import opened
from node.cli.output import JsonOption, print_json, print_table, say
from node.errors import OurFault, SettingsError
from node.gateway.oauth.local_client import (
    APP_SCOPES,
    LOCAL,
    Kind,
    Launch,
    LocalClient,
    local_client,
)
from node.gateway.oauth.store import Client, ClientState, OauthStore
from node.ledger.trust_change import TrustChange
from node.policy.purposes import purpose_register
from trust.udap.jwks import MAX_JWKS_BYTES

app = typer.Typer(help="Our own apps and systems: who may ask our FHIR server.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="By which operators know it.")]
_ID_BYTES = 24


@app.command("add")
def add_client(
    context: typer.Context,
    name: NameArgument,
    kind: Annotated[Kind, typer.Option(help="A system without people, or an app of people.")],
    purpose: Annotated[str, typer.Option(help="Exchange purpose code, e.g. T-TRTMNT.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="What it may be granted at most; repeatable. Of a backend system/..., of an app "
            f"patient/..., user/... and {', '.join(APP_SCOPES)}."
        ),
    ],
    title: Annotated[str, typer.Option(help="As people read it; default: the name.")] = "",
    jwks: Annotated[Path | None, typer.Option(help="File with its public keys (JWKS).")] = None,
    jwks_url: Annotated[
        str | None, typer.Option(help="The https address where it publishes its public keys.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="It is an app that can keep no key.")
    ] = False,
    redirect: Annotated[
        list[str] | None, typer.Option(help="A redirect URI of an app; repeatable.")
    ] = None,
    launch: Annotated[
        list[Launch] | None,
        typer.Option(help="From where an app is started; repeatable. Default: standalone."),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="Of a backend that reads the log, e.g. auditor; repeatable."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change a client that there is; its tokens end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Register an app or a system of our own; prints the client_id that it goes by."""
    home, settings, wiring = opened(context)
    if purpose_register().by_code(purpose) is None:
        known = ", ".join(purpose_register().purposes)
        raise SettingsError("purpose-missing", f"A client needs a purpose, one of {known}.")
    given = LocalClient(
        name=name,
        title=title or name,
        kind=kind,
        purpose=purpose,
        scopes=tuple(each for text in scope for each in text.split()),
        redirect_uris=tuple(redirect or ()),
        launches=tuple(launch or ((Launch.STANDALONE,) if kind is Kind.APP else ())),
        public=public,
        jwks=_read(jwks),
        jwks_uri=jwks_url,
        roles=tuple(dict.fromkeys(role or ())),
    )
    with wiring.stores(home, settings) as stores:
        store = OauthStore(stores.engine)
        before = store.client(LOCAL, name)
        is_there = before is not None and before.state is ClientState.ACTIVE
        if is_there and not replace:
            raise SettingsError("app-exists", f"There is a client {name} already.")
        made = given.client(
            before.client_id if before else secrets.token_urlsafe(_ID_BYTES),
            organization_id=settings.node.organization_id,
            before=before,
            now=datetime.now(UTC),
        )
        with stores.trust.change(_act("app-change" if is_there else "app-add", made)):
            store.save(made)
    if as_json:
        print_json(_shown(made))
    else:
        say(f"{given.title} is registered. Its client_id is:")
        say(made.client_id)


@app.command("list")
def list_clients(context: typer.Context, as_json: JsonOption = False) -> None:
    """List our own apps and systems."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        found = OauthStore(stores.engine).clients(community=LOCAL)
    rows = [_shown(each) for each in found]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("name", "client id", "kind", "purpose", "state", "scope"),
        [
            (r["name"], r["client_id"], r["kind"], r["purpose"], r["state"], r["scope"])
            for r in rows
        ],
        empty="There is none. Next: tefca-node fhir client add NAME --kind backend ...",
    )


@app.command("remove")
def remove_client(context: typer.Context, name: NameArgument) -> None:
    """End the registration of an app or a system of our own; its tokens end at once."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        store = OauthStore(stores.engine)
        found = store.client(LOCAL, name)
        if found is None or found.state is not ClientState.ACTIVE:
            raise OurFault("app-unknown", f"There is no client {name}.")
        with stores.trust.change(_act("app-remove", found)):
            store.end(found.client_id, now=datetime.now(UTC))
    say(f"{name} is no client any more.")


def _act(act: str, client: Client) -> TrustChange:
    return TrustChange(act=act, private=_shown(client))


def _shown(client: Client) -> dict[str, object]:
    local = local_client(client)
    return {
        "name": local.name,
        "client_id": client.client_id,
        "title": local.title,
        "kind": local.kind.value,
        "public": local.public,
        "purpose": local.purpose,
        "scope": client.scope,
        "redirect_uris": list(local.redirect_uris),
        "launches": [each.value for each in local.launches],
        "jwks_uri": local.jwks_uri,
        "roles": list(local.roles),
        "state": client.state.value,
    }


def _read(file: Path | None) -> str | None:
    if file is None:
        return None
    with file.open("rb") as opened_file:
        data = opened_file.read(MAX_JWKS_BYTES + 1)
    try:
        return data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise SettingsError("app-invalid", "The file of keys is not in UTF-8.") from None
