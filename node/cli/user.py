"""``tefca-node user``: local accounts for the console. Each command is an entry of the log."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.home import opened
from node.cli.output import JsonOption, print_json, print_table, say
from node.ledger.private import load_key
from node.ledger.trust_change import TrustChange
from node.users.model import User
from node.users.roles import role_table

if TYPE_CHECKING:
    from node.users.store import Users

app = typer.Typer(help="The people who may sign in at the console.", no_args_is_help=True)

LoginArgument = Annotated[str, typer.Argument(help="The name to sign in with.")]
RoleOption = Annotated[
    list[str], typer.Option(help=f"May be repeated: {', '.join(role_table().roles)}.")
]
FromInput = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the first password from standard input."),
]
_WORDS = 5


@app.command("add")
def add_user(
    context: typer.Context,
    login: LoginArgument,
    name: Annotated[str, typer.Option(help="As pages show it.")],
    role: RoleOption,
    password_stdin: FromInput = False,
    as_json: JsonOption = False,
) -> None:
    """Add a person. Prints a first password, which must be changed at the first sign-in."""
    password = _password(from_input=password_stdin)
    with _users(context, "user-add", login, roles=role) as users:
        user = users.add(login, name, tuple(role), password)
    _tell(user, None if password_stdin else password, as_json=as_json)


@app.command("list")
def list_users(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show everybody who may sign in, with their roles."""
    with _users(context) as users:
        found = users.all()
    if as_json:
        print_json([_shown(user) for user in found])
        return
    print_table(
        ("login", "name", "roles", "state"),
        ((user.login, user.name, user.titles, _state(user)) for user in found),
        empty="Nobody can sign in yet. Next: tefca-node user add LOGIN --name NAME --role ROLE",
    )


@app.command("change")
def change_user(context: typer.Context, login: LoginArgument, role: RoleOption) -> None:
    """Give a person other roles; open sessions end."""
    with _users(context, "user-change", login, roles=role) as users:
        user = users.change_roles(login, tuple(role))
    say(f"{user.login} is {user.titles} now.")


@app.command("practitioner")
def set_practitioner(
    context: typer.Context,
    login: LoginArgument,
    practitioner: Annotated[
        str, typer.Argument(metavar="ID", help="Of a Practitioner at our FHIR server.")
    ] = "",
) -> None:
    """Say which Practitioner a person is, so that apps may know it; without an ID, none."""
    with _users(context, "user-practitioner", login) as users:
        user = users.set_practitioner(login, practitioner or None)
    say(f"{login} is {f'Practitioner/{user.practitioner}' if practitioner else 'no Practitioner'}.")


@app.command("encounters")
def set_encounter_ids(
    context: typer.Context,
    login: LoginArgument,
    practitioner_id: Annotated[
        list[str],
        typer.Option(help="As ADT messages name the person: ID, or ID@AUTHORITY. May be repeated."),
    ] = [],  # noqa: B006 - typer reads it once
    department: Annotated[
        list[str], typer.Option(help="As ADT messages name it. May be repeated.")
    ] = [],  # noqa: B006 - typer reads it once
) -> None:
    """Say who a person is in the feed of encounters; without options, nobody."""
    with _users(context, "user-encounters", login) as users:
        user = users.set_encounter_ids(login, tuple(practitioner_id), tuple(department))
    known = (*user.practitioner_ids, *(f"department {each}" for each in user.departments))
    say(f"{login} is {', '.join(known)}." if known else f"{login} is in no encounter.")


@app.command("lock")
def lock_user(context: typer.Context, login: LoginArgument) -> None:
    """Let a person not sign in any more; open sessions end."""
    with _users(context, "user-lock", login) as users:
        users.set_active(login, active=False)
    say(f"{login} cannot sign in any more.")


@app.command("unlock")
def unlock_user(context: typer.Context, login: LoginArgument) -> None:
    """Let a person sign in again, also after too many wrong attempts."""
    with _users(context, "user-unlock", login) as users:
        users.set_active(login, active=True)
    say(f"{login} may sign in again.")


@app.command("reset")
def reset_user(
    context: typer.Context,
    login: LoginArgument,
    password_stdin: FromInput = False,
    as_json: JsonOption = False,
) -> None:
    """Give a person a new first password, and forget their one-time code."""
    password = _password(from_input=password_stdin)
    with _users(context, "user-reset", login) as users:
        user = users.reset(login, password)
    _tell(user, None if password_stdin else password, as_json=as_json)


@contextmanager
def _users(
    context: typer.Context, act: str | None = None, login: str = "", *, roles: Sequence[str] = ()
) -> Iterator[Users]:
    """The users of the home; with ``act``, what the block does to ``login`` is in the log."""
    from node.users.store import Users  # noqa: PLC0415 - with the database's library

    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        users = Users(stores.engine, load_key(home.path), lambda: datetime.now(UTC))
        if act is None:
            yield users
            return
        about: dict[str, object] = {"login": login}
        if roles:
            about["roles"] = list(roles)
        with stores.trust.change(TrustChange(act=act, private=about)):
            yield users


def _password(*, from_input: bool) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\n")
    return "-".join(secrets.token_hex(2) for _ in range(_WORDS))


def _tell(user: User, password: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json(_shown(user) | ({"password": password} if password else {}))
        return
    say(f"{user.login} ({user.name}) may sign in as {user.titles}.")
    if password:
        say(f"  first password  {password}")
        say("It is shown this once, and must be changed at the first sign-in.")


def _shown(user: User) -> dict[str, object]:
    return {
        "login": user.login,
        "name": user.name,
        "roles": list(user.roles),
        "active": user.active,
        "one_time_code": user.has_code,
        "practitioner_ids": list(user.practitioner_ids),
        "departments": list(user.departments),
        "external": user.external,
    }


def _state(user: User) -> str:
    if not user.active:
        return "locked"
    if user.external:
        return "by the organisation's sign-on"
    if user.must_change:
        return "first password not changed yet"
    return "active" if user.has_code else "active, no one-time code"
