"""``tefca-node bugreport``: a redacted report for whoever maintains the program."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.home import opened, record
from node.cli.output import note, say
from node.cli.report_file import write_whole
from node.ledger.trust_change import TrustChange


def bugreport(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; without, it goes to standard output.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be inside, and make none.")
    ] = False,
) -> None:
    """Write a report of what runs and what is wrong: no patient, no person, no secret."""
    # with the database's library
    from node.bug_report import CONTENTS, bug_report  # noqa: PLC0415
    from node.examination import examine_home  # noqa: PLC0415
    from node.opened import opened_home  # noqa: PLC0415

    home, settings, _ = opened(context)
    note("Inside are:")
    for line in CONTENTS:
        note(f"  - {line}")
    note("No patient, no person, no secret is in it. Read it before you send it.")
    if dry_run:
        return
    checks = asyncio.run(examine_home(home))
    with opened_home(home, settings) as node:
        data = bug_report(node, checks, now=datetime.now(UTC))
    record(context, [TrustChange(act="bug-report")])
    if out is None:
        sys.stdout.buffer.write(data)
        return
    write_whole(out, data)
    say(f"{out}: {len(data)} bytes.")
