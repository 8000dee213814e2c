"""The command line's root: options that every command has, and how errors are told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from node.cli import anchor, ca, cert, client, crl, directory, log, network, peer, query, records
from node.cli.cert_enrol import enrol, renew
from node.cli.demo import demo
from node.cli.doctor import doctor
from node.cli.exits import Exit, exit_of
from node.cli.explain import explain
from node.cli.home import CommandContext, Wiring, home_at
from node.cli.init import init
from node.cli.output import note, print_error
from node.cli.serve import serve
from node.errors import CodedError, SettingsError

app = typer.Typer(
    name="tefca-node",
    help="The exchange node that health systems install to join TEFCA and networks like it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(init)
app.command()(serve)
app.command()(doctor)
app.command()(demo)
app.command()(explain)
app.add_typer(ca.app, name="ca")
cert.app.command()(enrol)
cert.app.command()(renew)
app.add_typer(cert.app, name="cert")
app.add_typer(anchor.app, name="anchor")
app.add_typer(crl.app, name="crl")
app.add_typer(client.app, name="client")
app.add_typer(directory.app, name="directory")
app.add_typer(network.app, name="network")
app.add_typer(peer.app, name="peer")
app.add_typer(records.app, name="records")
app.add_typer(query.app, name="query")
app.add_typer(log.app, name="log")


def run(wiring: Wiring) -> None:
    """Run the command line and end the process with its exit code."""

    @app.callback()
    def root(
        context: typer.Context,
        home: Annotated[
            Path, typer.Option(envvar="TEFCA_NODE_HOME", help="The node home.")
        ] = Path(),
    ) -> None:
        context.obj = CommandContext(wiring=wiring, home=home_at(home))

    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        show = getattr(error, "show", None)  # a usage error knows its command's usage line
        if show is None:
            note(str(error))
        else:
            show()
        sys.exit(Exit.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        note("Stopped.")
        sys.exit(130)
    except CodedError as error:
        print_error(error)
        sys.exit(exit_of(error))
    except OSError as error:
        if error.filename is None:
            raise
        unusable = SettingsError(
            "file-unusable", f"{error.filename} cannot be used: {error.strerror}."
        )
        print_error(unusable)
        sys.exit(exit_of(unusable))
    sys.exit(code or Exit.DONE)
