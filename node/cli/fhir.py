"""``tefca-node fhir``: authorization on the FHIR side: ours at peers, and peers' clients at us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer

from node.cli import fhir_client
from node.cli.asker import read_asker
from node.cli.exits import Exit
from node.cli.fhir_launch import launched
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.fhir_asking import FhirAsking
from node.gateway.oauth.store import OauthStore
from node.ops.logging import configure_logging
from node.peers.udap.registrations import RegistrationStore

app = typer.Typer(help="Authorization over FHIR: UDAP clients, registrations, tokens.")
app.add_typer(fhir_client.app, name="client")

T = TypeVar("T")

PeerArgument = Annotated[
    str, typer.Argument(metavar="PEER", help="Home community id or directory id.")
]
PurposeOption = Annotated[str, typer.Option(help="Exchange purpose code, e.g. T-TRTMNT.")]
ScopeOption = Annotated[
    list[str] | None, typer.Option(help="A scope; repeatable. Default: system/*.rs.")
]
CommunityOption = Annotated[
    str | None, typer.Option(help="The trust community that the peer shall show itself in.")
]

_DEFAULT_SCOPE = ("system/*.rs",)


@app.command()
def discover(
    context: typer.Context,
    peer: PeerArgument,
    community: CommunityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a peer's UDAP metadata and say whether its signature holds, and in which community."""
    found = _asking(context, lambda asking: asking.discover(peer, community))
    metadata = found.metadata
    shown = {
        "base_url": metadata.base_url,
        "community": found.community,
        "bound_by": found.binding,
        "registration_endpoint": metadata.registration_endpoint,
        "token_endpoint": metadata.token_endpoint,
        "grant_types": list(metadata.plain.grant_types),
        "certifications_required": list(metadata.plain.certifications_required),
        "extensions_required": list(metadata.plain.extensions_required),
        "scopes": list(metadata.plain.scopes),
        "signed_until": metadata.expires,
        "deviations": list(metadata.plain.deviations),
    }
    _print(shown, as_json=as_json)


@app.command()
def register(
    context: typer.Context,
    peer: PeerArgument,
    purpose: PurposeOption,
    scope: ScopeOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Register again also where a registration holds.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Register our client of a purpose at a peer's FHIR server; once is enough."""
    made = _asking(
        context, lambda asking: asking.register(peer, purpose, _scopes(scope), again=again)
    )
    shown = {
        "client_id": made.client_id,
        "client_uri": made.uri,
        "community": made.community,
        "registration_endpoint": made.registration_endpoint,
        "purpose": made.purpose,
        "scope": made.scope,
        "registered": made.registered,
    }
    _print(shown, as_json=as_json)


@app.command()
def cancel(context: typer.Context, peer: PeerArgument, purpose: PurposeOption) -> None:
    """End our registration of a purpose at a peer's FHIR server; 1 when there was none."""
    if not _asking(context, lambda asking: asking.cancel(peer, purpose)):
        note("We have no registration there.")
        raise typer.Exit(Exit.NOT_GOOD)
    say("The registration was cancelled.")


@app.command()
def token(
    context: typer.Context,
    peer: PeerArgument,
    purpose: PurposeOption,
    scope: ScopeOption = None,
    user: Annotated[str, typer.Option(help="Name of the user who asks.")] = "",
    npi: Annotated[str, typer.Option(help="The user's NPI.")] = "",
    show_token: Annotated[
        bool, typer.Option("--show-token", help="Print the token itself: it opens records.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Get a token for a user and a purpose at a peer's FHIR server, registering where needed."""
    asker = read_asker(context, purpose=purpose, user=user, npi=npi)
    made = _asking(context, lambda asking: asking.token(peer, asker.principal, _scopes(scope)))
    shown: dict[str, Any] = {
        "client_id": made.client_id,
        "purpose": asker.principal.purpose.code,
        "scope": made.scope,
        "expires": made.expires,
    }
    if show_token:
        shown["access_token"] = made.value
    _print(shown, as_json=as_json)


@app.command()
def registrations(context: typer.Context, as_json: JsonOption = False) -> None:
    """List our registrations at peers' FHIR servers."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        found = RegistrationStore(stores.engine).all()
    rows = [
        {
            "base_url": each.base_url,
            "community": each.community,
            "purpose": each.purpose,
            "client_id": each.client_id,
            "scope": each.scope,
            "registered": each.registered,
        }
        for each in found
    ]
    _list(rows, empty="We are registered nowhere. Next: fhir register PEER", as_json=as_json)


@app.command()
def clients(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the clients that registered at our FHIR server."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        found = OauthStore(stores.engine).clients()
    rows = [
        {
            "client_id": each.client_id,
            "organization": each.organization_id,
            "purpose": each.purpose,
            "state": each.state.value,
            "scope": each.scope,
            "changed": each.changed,
        }
        for each in found
    ]
    _list(rows, empty="No client has registered.", as_json=as_json)


@app.command()
def launch(
    context: typer.Context,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="Name of an app of our own.")],
    patient: Annotated[str, typer.Option(help="Id of the Patient to open it on.")] = "",
    encounter: Annotated[str, typer.Option(help="Id of the Encounter.")] = "",
    user: Annotated[str, typer.Option(help="Login of the user; default: whoever signs in.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a launch of an app, as an EHR does: what the app is opened with, for five minutes."""
    given = {"patient": patient, "encounter": encounter, "user": user}
    made = launched(context, client, {name: value for name, value in given.items() if value})
    _print(made, as_json=as_json)


def _asking(context: typer.Context, call: Callable[[FhirAsking], Awaitable[T]]) -> T:
    home, settings, wiring = opened(context)
    configure_logging(level="warning")

    async def run() -> T:
        async with wiring.fhir(home, settings) as asking:
            return await call(asking)

    return asyncio.run(run())


def _scopes(given: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(each for text in given or _DEFAULT_SCOPE for each in text.split())


def _print(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        text = " ".join(value) if isinstance(value, list) else value
        say(f"{name.replace('_', ' '):24} {text}")


def _list(rows: list[dict[str, Any]], *, empty: str, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    head = tuple(rows[0]) if rows else ("client_id",)
    print_table(
        tuple(name.replace("_", " ") for name in head),
        [tuple(str(value) for value in row.values()) for row in rows],
        empty=empty,
    )
