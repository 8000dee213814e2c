"""``tefca-node crl``: the certificate revocation lists of the CAs we trust."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened, record, recorded
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.crl_updater import CrlUpdater
from node.crls import CrlEvent, accepted_event, import_crl, report_crl
from node.identity import network_anchors
from node.ledger.trust_change import TrustChange
from node.ops.logging import configure_logging
from node.settings import NodeHome
from node.trust_changes import of_crl
from trust.anchors import Anchor
from trust.certificates import load_certificates
from trust.crl import MAX_CRL_BYTES, AcceptedCrl, Freshness
from trust.crl_store import load_crls
from trust.errors import TrustError
from trust.live_revocation import LiveRevocations
from trust.revocation_policy import ANCHOR_DEFAULT

app = typer.Typer(help="The revocation lists of the CAs we trust.", no_args_is_help=True)

_SHOWN_DIGITS = 16
_MAX_LISTED = 100


@app.command("import")
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A CRL, DER or PEM.")],
    issuer: Annotated[
        Path | None,
        typer.Option(help="PEM of CAs, or of a CRL signer, between an anchor and the CRL."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take a CRL from a file; an older one than the stored one is refused."""
    home, _, _ = opened(context)
    configure_logging(level="warning")
    with file.open("rb") as stream:
        data = stream.read(2 * MAX_CRL_BYTES + 1)
    others = load_certificates(issuer) if issuer else ()
    change = TrustChange(act="crl-accept", private={"file": file.name})
    with recorded(context, change) as made:
        taken = import_crl(home, data, others, now=datetime.now(UTC))
        made.add(of_crl(accepted_event("file", taken)))
        if not taken.is_new:
            made.refuse("crl-in-use-already")
    crl = taken.crl
    if as_json:
        print_json({"new": taken.is_new, "number": crl.number, "digest": crl.digest})
        return
    if not taken.is_new:
        say("This CRL is in use already.")
        return
    say(f"The CRL of {crl.source.issuer.rfc4514_string()} with {len(crl.revoked)} entries is used.")
    say("A running node takes it within seconds.")


@app.command()
def fetch(context: typer.Context, as_json: JsonOption = False) -> None:
    """Fetch the CRLs of every known source now; 1 when one could not be taken."""
    home, settings, _ = opened(context)
    configure_logging(level="warning")
    now = datetime.now(UTC)
    revocations = LiveRevocations(home.crls, network_anchors(home), now=now)
    events: list[CrlEvent] = []

    def tell(event: CrlEvent) -> None:
        report_crl(event)
        events.append(event)

    updater = CrlUpdater(
        home, settings.revocation, revocations, lambda: datetime.now(UTC), tell=tell
    )
    updates = asyncio.run(updater.update(everything=True))
    record(context, map(of_crl, events))
    if as_json:
        print_json(
            [
                {
                    "url": each.url,
                    "outcome": each.outcome,
                    "number": each.crl.number if each.crl else None,
                    "next": each.due,
                }
                for each in updates
            ]
        )
    else:
        print_table(
            ("source", "outcome", "number", "asked again"),
            [
                (
                    each.url,
                    each.outcome,
                    each.crl.number if each.crl else None,
                    f"{each.due:%Y-%m-%d %H:%M}" if each.due else "",
                )
                for each in updates
            ],
            empty="No source is known: none of our chains names one, nor revocation.crl_urls.",
        )
    if not all(each.ok for each in updates):
        raise typer.Exit(Exit.NOT_GOOD)


@app.command("list")
def list_crls(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the CRLs in use and how current they are; 1 when one is late or cannot be used."""
    home, _, _ = opened(context)
    now = datetime.now(UTC)
    rows, faults = _rows(home, now)
    if as_json:
        print_json({"crls": rows, "faults": [f"{f.sentence} ({f.where})" for f in faults]})
    else:
        print_table(
            ("issuer", "kind", "number", "age", "state", "next update", "entries", "digest"),
            [
                (
                    row["issuer"],
                    row["kind"],
                    row["number"],
                    f"{row['age_hours']:.1f} h",
                    row["state"],
                    f"{row['next_update']:%Y-%m-%d %H:%M}",
                    row["entries"],
                    str(row["digest"])[:_SHOWN_DIGITS],
                )
                for row in rows
            ],
            empty="There is no CRL. Next: crl import FILE",
        )
        for fault in faults:
            note(f"Not used: {fault.sentence} ({fault.where})")
    if faults or any(row["state"] != Freshness.FRESH for row in rows):
        raise typer.Exit(Exit.NOT_GOOD)


@app.command()
def show(
    context: typer.Context,
    digest: Annotated[str, typer.Argument(help="The digest of a CRL, or how it begins.")],
    serial: Annotated[
        str | None, typer.Option(help="Ask about one serial number (hex); 1 when it is revoked.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one CRL: who signed it, and whom it revokes."""
    home, _, _ = opened(context)
    now = datetime.now(UTC)
    rows, _ = _rows(home, now)
    found = [
        (row, accepted)
        for row, accepted in zip(rows, _accepted(home, now), strict=True)
        if accepted.crl.digest.startswith(digest.lower())
    ]
    if len(found) != 1:
        note(f"{len(found)} CRLs have a digest that begins so. Next: crl list")
        raise typer.Exit(Exit.NOT_GOOD)
    row, accepted = found[0]
    signer = [c.subject.rfc4514_string() for c in accepted.signer]
    revoked = {f"{number:x}": reason for number, reason in accepted.crl.revoked.items()}
    revoked |= {f"{number:x}": "dropped from the list" for number in accepted.dropped}
    if serial is not None:
        _say_serial(serial, revoked, as_json=as_json)
        return
    if as_json:
        print_json({**row, "signer": signer, "revoked": revoked})
        return
    for name, value in row.items():
        say(f"{name:12} {value}")
    say(f"{'signer':12} {' <- '.join(signer)}")
    for number, reason in list(revoked.items())[:_MAX_LISTED]:
        say(f"revoked      {number} {reason}")
    if len(revoked) > _MAX_LISTED:
        note(f"Only {_MAX_LISTED} of {len(revoked)} are shown; --json shows all.")


def _say_serial(serial: str, revoked: dict[str, str], *, as_json: bool) -> None:
    number = serial.lower().replace(":", "").lstrip("0")
    reason = revoked.get(number)
    if as_json:
        print_json({"serial": number, "revoked": reason is not None, "reason": reason})
    elif reason is None:
        say("The CRL does not list it.")
    else:
        say(f"It is revoked: {reason}.")
    if reason is not None:
        raise typer.Exit(Exit.NOT_GOOD)


def _accepted(home: NodeHome, now: datetime) -> list[AcceptedCrl]:
    anchors = [anchor.certificate for anchor in network_anchors(home)]
    return list(load_crls(home.crls, anchors, now=now).shelf)


def _rows(home: NodeHome, now: datetime) -> tuple[list[dict[str, object]], tuple[TrustError, ...]]:
    anchors = {anchor.certificate: anchor for anchor in network_anchors(home)}
    report = load_crls(home.crls, anchors, now=now)
    return [_row(each, anchors.get(each.signer[-1]), now) for each in report.shelf], report.faults


def _row(accepted: AcceptedCrl, anchor: Anchor | None, now: datetime) -> dict[str, object]:
    crl = accepted.crl
    rule = anchor.revocation if anchor is not None else ANCHOR_DEFAULT
    return {
        "issuer": crl.source.issuer.rfc4514_string(),
        "anchor": anchor.label if anchor is not None else "",
        "kind": "delta" if crl.is_delta else "base",
        "number": crl.number,
        "age_hours": (now - crl.this_update).total_seconds() / 3600,
        "state": crl.freshness(now, rule.grace),
        "this_update": crl.this_update,
        "next_update": crl.next_update,
        "entries": len(crl.revoked),
        "digest": crl.digest,
    }
