"""``tefca-node audit``: the audit repository that a running node sends the log to."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime
from importlib import resources

import typer

from node.audit_feed.connection import Connection
from node.audit_feed.feed import POSITION
from node.audit_feed.own_messages import test_event
from node.audit_feed.position import Gap, Position, read_position
from node.audit_site import audit_site
from node.auditing import repository, syslog_sender
from node.cli.home import opened
from node.cli.output import JsonOption, print_json, say
from node.ledger.audit_mapping import as_json as audit_mapping_as_json
from node.ledger.audit_mapping import document
from node.ledger.find import newest
from node.wire.atna import write_audit_messages
from node.wire.syslog import framed, syslog_message

app = typer.Typer(help="The audit repository of this node.", no_args_is_help=True)


@app.command("test")
def send_test(context: typer.Context, as_json: JsonOption = False) -> None:
    """Send one message that says it is a test, and see that it arrives."""
    home, settings, _ = opened(context)
    target = repository(home, settings)
    entry_id = str(uuid.uuid4())
    event = test_event(audit_site(settings), entry_id=entry_id, now=datetime.now(UTC))
    (message,) = write_audit_messages(event)
    data = framed(syslog_message(syslog_sender(settings), event.recorded, message))
    connection = Connection(target)
    protocol = connection.protocol
    try:
        connection.send(data)
        connection.finish()
    finally:
        connection.close()
    if as_json:
        print_json({"to": target.name, "tls": protocol, "id": entry_id, "bytes": len(data)})
        return
    say(f"The audit repository {target.name} took the test message {entry_id} ({protocol}).")
    say("Whether it keeps it, its own search says: EventTypeCode audit-test.")


@app.command("status")
def show_status(context: typer.Context, as_json: JsonOption = False) -> None:
    """How far the audit repository has the log, and what was left out."""
    home, settings, wiring = opened(context)
    position = read_position(home.path / "audit" / POSITION)
    with wiring.stores(home, settings) as stores:
        at = newest(stores.engine)
    if as_json:
        print_json(_values(settings.audit.host, position, at))
        return
    if not settings.audit.host:
        say("The settings name no audit repository (audit.host).")
    if position is None:
        say("Nothing was ever sent.")
        return
    say(f"Sent up to entry {position.seq} of {at}; {at - position.seq} wait.")
    if (gap := position.last_gap) is not None:
        told = "the repository does not know yet" if position.gap else "the repository was told"
        say(
            f"{position.skipped} entries were left out, last {gap.first} to {gap.last} ({told}). "
            "`log export --format atna` has them."
        )


@app.command("mapping")
def show_mapping(as_json: JsonOption = False) -> None:
    """Print what of the log stands where in ATNA, BALP and ASTM E2147-18, as Markdown."""
    if as_json:
        print_json(audit_mapping_as_json())
        return
    sys.stdout.write(document())


@app.command("schema")
def show_schema() -> None:
    """Print the XML schema of the DICOM audit messages."""
    schema = resources.files("node.wire").joinpath("schema/audit-message.xsd")
    sys.stdout.write(schema.read_text("utf-8"))


def _values(host: str, position: Position | None, at: int) -> dict[str, object]:
    return {
        "host": host or None,
        "sent_seq": position.seq if position else None,
        "newest_seq": at,
        "waiting": at - position.seq if position else None,
        "left_out": position.skipped if position else 0,
        "last_gap": _gap(position.last_gap) if position else None,
        "untold_gap": _gap(position.gap) if position else None,
    }


def _gap(gap: Gap | None) -> dict[str, int] | None:
    return None if gap is None else {"first_seq": gap.first, "last_seq": gap.last}
