"""How the demo shows what happens: a line for each answer as it comes, then the tables, or JSON."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from node.cli.events import WORDS
from node.cli.terminal import PlainConsole
from node.demo.asking import Answers, Saved
from node.demo.ledgers import LedgerPair, Written
from node.demo.misuse import Found
from node.demo.network import Network
from node.exchange.initiate import Event, LegStarted
from node.model import Leg, Outcome, Step, Transaction

_PIPE_WIDTH = 150
_STEPS: dict[Step, str] = {
    Transaction.ITI_55: "discovery",
    Transaction.ITI_38: "query",
    Transaction.ITI_39: "retrieve",
}
_COLOURS = {
    Outcome.OK: "green",
    Outcome.OK_EMPTY: "cyan",
    Outcome.PARTIAL: "yellow",
    Outcome.DECLINED: "yellow",
    Outcome.FAILED: "red",
    Outcome.TIMED_OUT: "red",
    Outcome.CANCELLED: "red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """Everything a run gave; ``differences`` say what is not as designed."""

    network: Network
    answers: Answers
    pairs: tuple[LedgerPair, ...]
    differences: tuple[str, ...]


def console_for(*, stderr: bool) -> Console:
    """A console that does not squeeze tables into 80 columns when it writes into a pipe."""
    console = PlainConsole(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


class Progress:
    """Tells what happens, with the seconds since the beginning."""

    def __init__(self, console: Console) -> None:
        """``console`` is where the lines go."""
        self._console = console
        self._start = time.monotonic()

    def step(self, sentence: str) -> None:
        """Something was made or started."""
        self._line(escape(sentence))

    def event(self, event: Event) -> None:
        """An answer came, or did not."""
        if isinstance(event, LegStarted):
            return
        leg = event.result.leg
        what = f"{_STEPS[leg.transaction]} {leg.transaction}"
        more = f"  {_plural(leg.documents, 'document')}" if leg.documents else ""
        why = f"  ({escape(_why(leg))})" if _why(leg) else ""
        self._line(
            f"{escape(leg.peer.name):32} {what:18} "
            f"[{_COLOURS[leg.outcome]}]{_answer(leg)}[/]{more}{why}"
        )

    def _line(self, markup: str) -> None:
        seconds = time.monotonic() - self._start
        self._console.print(f"[dim]{seconds:5.1f} s[/]  {markup}", soft_wrap=True)


def show_report(report: DemoReport, console: Console) -> None:
    """The tables: what every peer said, the documents, the ledgers; then the verdict."""
    _table(
        console,
        "What every peer said",
        ("peer", "transaction", "answer", "why", "documents", "ms"),
        (
            (
                leg.peer.name,
                f"{leg.transaction} {_STEPS[leg.transaction]}",
                _answer(leg),
                _why(leg),
                str(leg.documents or ""),
                str(leg.duration_ms),
            )
            for leg in _sorted(report)
        ),
    )
    _table(
        console,
        "Documents found",
        ("title", "type", "bytes", "held by", "saved as"),
        (
            (
                saved.document.title or "",
                saved.document.type_code or "",
                str(saved.document.size),
                " and ".join(dict.fromkeys(s.peer.name for s in saved.document.sources)),
                saved.path.name,
            )
            for saved in report.answers.saved
        ),
    )
    folded = sum(1 for saved in report.answers.saved if len(saved.document.sources) > 1)
    if report.answers.saved:
        console.print(f"saved in {report.answers.saved[0].path.parent}", soft_wrap=True)
        console.print(f"{_plural(folded, 'document')} came from two peers with the same bytes")
    _table(
        console,
        "Ledger entries of both sides",
        ("peer", "transaction", "ours", "theirs", "message"),
        (
            (
                pair.peer,
                pair.transaction,
                _entry(pair.ours),
                _entry(pair.theirs) if pair.theirs else "none: it answered nothing",
                pair.message_id.removeprefix("urn:uuid:"),
            )
            for pair in report.pairs
        ),
    )
    console.print()
    if not report.differences:
        console.print("[green]Every leg ended as designed.[/]")
        return
    console.print("[red]Not as designed:[/]")
    for sentence in report.differences:
        console.print(f"  {escape(sentence)}", soft_wrap=True)


def report_json(report: DemoReport) -> dict[str, object]:
    """The run as one JSON object."""
    return {
        "legs": [
            {
                "peer": leg.peer.name,
                "hcid": leg.peer.home_community_id,
                "transaction": leg.transaction,
                "outcome": leg.outcome,
                "reason": leg.reason,
                "ms": leg.duration_ms,
                "documents": leg.documents,
            }
            for leg in report.answers.legs
        ],
        "documents": [_document(saved) for saved in report.answers.saved],
        "saved": {saved.document.sha256: saved.path for saved in report.answers.saved},
        "ledger": report.pairs,
        "as_designed": not report.differences,
        "differences": report.differences,
        "home": report.network.folder,
    }


def _document(saved: Saved) -> dict[str, object]:
    document = saved.document
    return {
        "sha256": document.sha256,
        "mime_type": document.mime_type,
        "type_code": document.type_code,
        "title": document.title,
        "size": document.size,
        "sources": list(dict.fromkeys(s.peer.home_community_id for s in document.sources)),
    }


def show_standing(
    network: Network,
    addresses: Mapping[str, Mapping[str, str]],
    found: Found | None,
    console: Console,
) -> None:
    """Where the nodes are that keep running, what a detector found, and how to go on by hand."""
    _table(
        console,
        "Still running",
        ("node", "gateway", "home"),
        (
            (
                node.organisation.name,
                addresses[node.organisation.key]["soap"],
                str(node.home.path),
            )
            for node in network.served
        ),
    )
    asking = network.asking
    command = f"tefca-node --home {shlex.quote(str(asking.home.path))}"
    lines = [
        "",
        *_misuse(found),
        f"its console: {addresses[asking.organisation.key]['console']}",
        f"its ledger:  {command} log find",
        f"its peers:   {command} directory find",
        "stop everything with Ctrl-C",
    ]
    if network.plan.patient_name is not None:
        address = addresses[asking.organisation.key]["grpc"]
        lines.insert(1, f"ask again:   {command} query chart {_options(network)} --node {address}")
    console.print(escape("\n".join(lines)), soft_wrap=True)


def _misuse(found: Found | None) -> list[str]:
    if found is None:
        return []
    lines = [f"found:       {sentence}" for sentence in found.sentences]
    return [*lines, *(f"             It is in case {number}." for number in found.cases)]


def _options(network: Network) -> str:
    person = network.plan.demographics
    given = [part for name in person.names[:1] for part in name.given]
    options = [
        *(("--family", name.family or "") for name in person.names[:1]),
        *(("--given", part) for part in given),
        ("--birth-date", person.birth_date or ""),
        ("--sex", person.sex or ""),
        ("--purpose", network.plan.purpose),
    ]
    return " ".join(f"{name} {shlex.quote(value)}" for name, value in options)


def _sorted(report: DemoReport) -> Sequence[Leg]:
    """By peer in the order of the plan, each peer's legs in the order of their ends."""
    order = [m.node.organisation.home_community_id for m in report.network.members]
    return sorted(report.answers.legs, key=lambda leg: order.index(leg.peer.home_community_id))


def _answer(leg: Leg) -> str:
    if leg.outcome is Outcome.OK and leg.transaction is Transaction.ITI_39:
        return "received"
    return WORDS[leg.outcome]


def _why(leg: Leg) -> str:
    return leg.sentence or leg.reason or ""


def _entry(written: Written) -> str:
    return f"#{written.seq} {written.outcome}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _table(
    console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    console.print(f"\n[bold]{escape(title)}[/]")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut short is of no use
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
