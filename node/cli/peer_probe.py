"""``tefca-node peer ping`` and ``peer test``: where the way to a peer fails, and on whose side."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json
from node.cli.peer_report import show_probe, show_run, show_test
from node.cli.peer_run import run_test
from node.errors import SettingsError
from node.model import Transaction
from node.probe.layers import ProbeReport, Side

_EXITS = {
    Side.OURS: Exit.OUR_SIDE,
    Side.THEIRS: Exit.THEIR_SIDE,
    Side.NETWORK: Exit.NETWORK,
    Side.UNKNOWN: Exit.NOT_GOOD,
}

PurposeOption = Annotated[
    str, typer.Option(help="Exchange purpose code; default: one that both entries list.")
]


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(ping)
    app.command("test")(check)


def ping(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="The entry's id or home community id.")],
    transaction: Annotated[
        list[Transaction] | None,
        typer.Option(help="ITI-55, ITI-38, ITI-39; repeatable. Default: ITI-55."),
    ] = None,
    purpose: PurposeOption = "",
    as_json: JsonOption = False,
) -> None:
    """Walk the way to a peer, from its directory entry to its answer; say what fails and where.

    The message at the end asks about nobody: the network's synthetic test patient (ITI-55), or an
    id that nobody has. It is a ledger entry, marked as a test.
    """
    chosen = list(dict.fromkeys(transaction or [Transaction.ITI_55]))
    if Transaction.ITI_80 in chosen:
        raise SettingsError(
            "probe-transaction", "ITI-80 cannot be tested: it leaves a document behind."
        )
    reports = _probe(context, key, chosen, purpose)
    if as_json:
        print_json([_plain(report) for report in reports])
    else:
        for report in reports:
            show_probe(report)
    _end(reports)


def check(
    context: typer.Context,
    key: Annotated[str | None, typer.Argument(help="The entry's id or home community id.")] = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Every active peer with an endpoint; leaves a report.")
    ] = False,
    network: Annotated[
        str | None,
        typer.Option(help="With --all: only entries of this source, e.g. network-list."),
    ] = None,
    unused_for: Annotated[
        float | None,
        typer.Option(
            min=0, help="With --all: only peers we exchanged nothing with for these days."
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=200, help="With --all: so many at a time.")
    ] = None,
    purpose: PurposeOption = "",
    as_json: JsonOption = False,
) -> None:
    """Ask for a synthetic test patient and judge the answer; with --all, ask everybody."""
    if everybody == (key is not None):
        raise typer.BadParameter("Name one peer, or give --all.")
    if key is None:
        home, settings, wiring = opened(context)
        run = asyncio.run(
            run_test(
                home,
                settings,
                wiring,
                source=network,
                unused_days=unused_for,
                concurrency=concurrency or settings.probe.concurrency,
                purpose=purpose,
            )
        )
        if as_json:
            print_json({"report": run.report, "files": run.files})
        else:
            show_run(run.report, run.files)
        if not run.report.all_good:
            raise typer.Exit(130 if not run.report.complete else Exit.NOT_GOOD)
        return
    reports = _probe(context, key, [Transaction.ITI_55], purpose)
    if as_json:
        print_json(_plain(reports[0]))
    else:
        show_test(reports[0])
    _end(reports)


def _probe(
    context: typer.Context, key: str, transactions: list[Transaction], purpose: str
) -> list[ProbeReport]:
    home, settings, wiring = opened(context)

    async def probe() -> list[ProbeReport]:
        async with wiring.probing(home, settings) as probing:
            entry = probing.entry(key)
            if entry is None:
                note(f"The directory has no organisation {key}. Next: directory find {key}")
                raise typer.Exit(Exit.NOT_GOOD)
            return [
                await probing.probe(probing.target(entry, transaction, purpose))
                for transaction in transactions
            ]

    return asyncio.run(probe())


def _plain(report: ProbeReport) -> dict[str, object]:
    failed = report.failed
    return {
        "good": report.good,
        "failed_layer": failed.layer if failed else None,
        "side": failed.side if failed else None,
        "probe": report,
    }


def _end(reports: list[ProbeReport]) -> None:
    """End with the code of the side that the first failure is on."""
    bad = next((report for report in reports if not report.good), None)
    if bad is not None:
        side = bad.failed.side if bad.failed else None
        raise typer.Exit(_EXITS[side or Side.UNKNOWN])
