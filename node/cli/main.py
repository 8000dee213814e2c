"""The command line's root: options that every command has, and how errors are told."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from node.cli.exits import Exit, exit_of
from node.cli.home import CommandContext, Wiring, home_at
from node.cli.on_demand import group_of
from node.cli.output import note, print_error
from node.errors import CodedError, SettingsError

_COMMANDS = {
    "init": "Make a node home: settings, folders, the ledger's key, the local clients' CA.",
    "serve": (
        "Run the node: gateway, gRPC service, metrics. Ctrl-C or SIGTERM ends it in good order."
    ),
    "doctor": (
        "Check clock, files, permissions, keys, expiry, directory and ports; 1 when one fails."
    ),
    "bugreport": "Write a report of what runs and what is wrong: no patient, no person, no secret.",
    "demo": "Run a small network: one health system asks six others for a patient's records.",
    "explain": (
        "Explain one code, or list all: errors, refusals, findings of probes, and their advice."
    ),
    "ca": "A CA for development and tests.",
    "cert": "Our own keys and certificates.",
    "anchor": "The CAs of the networks we belong to.",
    "crl": "The revocation lists of the CAs we trust.",
    "client": "Local clients of the gRPC service.",
    "directory": "The directory of organisations and endpoints.",
    "network": "The signed network list.",
    "peer": "Single organisations: our decisions, and the way to them.",
    "fhir": "Authorization over FHIR: UDAP clients, registrations, tokens.",
    "records": "The documents this node answers with.",
    "encounters": "Encounters: who of ours treats whom.",
    "query": "Ask the network about a patient.",
    "deliver": "Send documents of a person to communities, which say if they took them (ITI-80).",
    "log": "The exchange log of this node.",
    "audit": "The audit repository of this node.",
    "mail": "The mail server that takes our notices.",
    "detect": "Detectors: what looks at the log and says what is unusual.",
    "report": "Reports for people outside of this organisation.",
    "user": "The people who may sign in at the console.",
}

_INTERRUPTED = 130
_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What a full or broken disk says of a file that is open already, standard output too."""

app = typer.Typer(
    name="tefca-node",
    cls=group_of(_COMMANDS, modules={"cert": "cert_enrol"}),
    help="The exchange node that health systems install to join TEFCA and networks like it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def root(
    context: typer.Context,
    home: Annotated[Path, typer.Option(envvar="TEFCA_NODE_HOME", help="The node home.")] = Path(),
) -> None:
    """The exchange node that health systems install to join TEFCA and networks like it."""
    context.obj = CommandContext(wiring=context.obj, home=home_at(home))


def run(wiring: Wiring) -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = app(standalone_mode=False, obj=wiring)
        if code == _INTERRUPTED:  # Typer makes this of Ctrl-C
            note("Stopped.")
    except TyperException as error:
        show = getattr(error, "show", None)  # a usage error knows its command's usage line
        if show is None:
            note(str(error))
        else:
            show()
        sys.exit(Exit.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        note("Stopped.")
        sys.exit(_INTERRUPTED)
    except CodedError as error:
        print_error(error)
        sys.exit(exit_of(error))
    except OSError as error:
        if error.filename is None and error.errno not in _UNWRITTEN:
            raise
        unusable = SettingsError(
            "file-unusable",
            f"{error.filename} cannot be used: {error.strerror}."
            if error.filename is not None
            else f"Not everything could be written: {error.strerror}.",
        )
        print_error(unusable)
        sys.exit(exit_of(unusable))
    sys.exit(code or Exit.DONE)
