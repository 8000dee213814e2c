"""``tefca-node mail``: the mail server that takes our notices."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from node.cli.exits import exit_of
from node.cli.home import opened
from node.cli.output import JsonOption, out, print_error, print_json, say
from node.errors import SettingsError
from node.mail.message import trial_message
from node.mail.trial import State, Trial, Tried, try_out
from node.mailing import letterhead, mail_server
from node.settings_mail import ADDRESS, LONGEST_ADDRESS

app = typer.Typer(help="The mail server that takes our notices.", no_args_is_help=True)

_COLOURS = {State.OK: "green", State.FAILED: "red", State.NOT_DUE: "dim", State.NOT_REACHED: "dim"}


@app.callback()
def group() -> None:
    """The mail server that takes our notices."""


@app.command("test")
def send_test(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="Whom the message is sent to.")],
    as_json: JsonOption = False,
) -> None:
    """Send one message that says it is a test, and show each step on its way to the mail server.

    It goes with the settings of [mail], at once and not by the node's outbox. Exit 0: the mail
    server took it. Else 3, 4 or 5 says whose side the step that failed is on.
    """
    if len(address) > LONGEST_ADDRESS or not re.fullmatch(ADDRESS, address):
        raise typer.BadParameter("It is no mail address.", param_hint="ADDRESS")
    home, settings, _ = opened(context)
    if not settings.mail.host:
        raise SettingsError("mail-not-set", "The settings name no mail server (mail.host).")
    server = mail_server(home, settings)
    server.context()  # a broken file of CAs is told as such, and not as a step
    now = datetime.now(UTC)
    message = trial_message(letterhead(settings), id_=str(uuid.uuid4()), recipient=address, at=now)
    name = f"{server.host}:{server.port}"
    if not as_json:
        say(f"Sending a test message to {address} by {name} ({server.security}).")
    trial = try_out(server, message, _ignored if as_json else _show)
    if as_json:
        print_json(_values(trial, name, server.security, address, str(message["Message-ID"])))
    elif trial.error is None:
        say(f"The mail server took the message {message['Message-ID']}.")
        say(f"Whether it arrives, {address} sees: look there, also in the folder for junk.")
    else:
        print_error(trial.error)
    if trial.error is not None:
        raise typer.Exit(exit_of(trial.error))


def _ignored(step: Tried) -> None:
    """JSON is written at the end."""


def _show(tried: Tried) -> None:
    colour, ms = _COLOURS[tried.state], "" if tried.ms is None else f"{tried.ms} ms"
    out.print(
        f"[{colour}]{tried.state.value:11}[/] {tried.step.value:14} {ms:>9}"
        f"  {escape(tried.sentence)}".rstrip()
    )


def _values(trial: Trial, name: str, security: str, address: str, id_: str) -> dict[str, object]:
    error = trial.error
    return {
        "ok": error is None,
        "server": name,
        "security": security,
        "to": address,
        "message_id": id_,
        "steps": trial.steps,
        "code": error.code if error else None,
        "side": error.party.value if error else None,
        "sentence": error.sentence if error else None,
        "advice": error.advice if error else None,
    }
