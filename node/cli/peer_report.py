"""How a probe and a connectivity run are shown to people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from node.cli.output import counted, out, print_table, say
from node.probe.layers import LayerResult, ProbeReport, Side, State
from node.probe.report import Result, RunReport, row_of

_COLOURS = {
    State.OK: "green",
    State.WARN: "yellow",
    State.FAIL: "red",
    State.UNKNOWN: "magenta",
    State.NOT_REACHED: "dim",
}
_SIDES = {
    Side.OURS: "on our side",
    Side.THEIRS: "on the other side",
    Side.NETWORK: "between the two sides",
    Side.UNKNOWN: "on a side that cannot be told from here",
}


def show_probe(report: ProbeReport) -> None:
    """Every layer with its time, its finding and the next step; then the verdict."""
    say(f"{report.name}, {report.transaction}, {report.purpose}: {report.address or 'no address'}")
    for layer in report.layers:
        _layer(layer)
    say(_verdict(report))


def show_test(report: ProbeReport) -> None:
    """The answer, its time, its deviations, and the server's certificate."""
    failed, row = report.failed, row_of(report)
    say(_verdict(report))
    if row.layer is not None:
        shown = failed or next(one for one in report.layers if one.state is State.WARN)
        _layer(shown)
    if row.answer is not None and row.answer != row.sentence:
        say(row.answer)
    elif row.layer is None:
        say(row.sentence)
    if report.deviations:
        say(f"It departs from the standards in: {', '.join(report.deviations)}.")
    if report.certificate is not None:
        own = report.certificate
        names = ", ".join(own.names) or "no host"
        say(f"Its server's certificate names {names} and ends on {own.not_after:%Y-%m-%d}.")


def show_run(report: RunReport, files: Sequence[Path]) -> None:
    """Who fails and where, what changed, and where the report is."""
    print_table(
        ("peer", "result", "layer", "side", "ms", "what"),
        [
            (row.name, row.result, row.layer, row.side, row.answer_ms, row.sentence)
            for row in report.rows
        ],
        empty="Nobody was tested.",
    )
    for row in report.rows:
        if row.result is Result.FAILED:
            say(f"next, {row.name}: {row.next_step}")
    if report.since is not None:
        print_table(
            ("peer", "before", "now"),
            [(change.name, change.before, change.now) for change in report.changes],
            empty="Nothing changed.",
            title=f"Since {report.since:%Y-%m-%d %H:%M} UTC",
        )
    if not report.complete:
        say("The run was stopped before its end.")
    counts = ", ".join(f"{report.count(result)} {result}" for result in Result)
    say(f"{counted(len(report.rows), 'peer')}: {counts}.")
    say(f"The report is {' and '.join(str(file) for file in files)}.")


def _layer(layer: LayerResult) -> None:
    colour = _COLOURS[layer.state]
    took = f"{layer.ms} ms" if layer.state is not State.NOT_REACHED else ""
    out.print(f"[{colour}]{layer.state:12}[/]{layer.layer:11}{took:>9}  {escape(layer.sentence)}")
    if layer.next_step and layer.side is not None:
        out.print(f"{'':34}this is {_SIDES[layer.side]} ({layer.code})")
        out.print(f"{'':34}next: {escape(layer.next_step)}")


def _verdict(report: ProbeReport) -> str:
    failed = report.failed
    if failed is not None and failed.side is not None:
        return f"{report.name} fails at the layer {failed.layer}, {_SIDES[failed.side]}."
    if not report.good:
        return f"{report.name} was not asked."
    warned = row_of(report).result is Result.WARN
    return f"{report.name} can be exchanged with{', with a warning' if warned else ''}."
