"""The report of a connectivity run, and what changed since the one before. Pure.

QTF asks for a connectivity test in production every quarter with every QHIN that one has not
exchanged with for three months, and for failures to be reported to the RCE at once (facts: tefca
4.12). The report is for both: whom we tested and when, what failed, on whose side, what is next. It
holds no PHI: the test asks about nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from node.probe.layers import Layer, LayerResult, ProbeReport, ServerCertificate, State

FORMAT = 1
_HEAD = (
    "| peer | home community | result | layer | side | purpose | ms | certificate until | what |"
)


class Result(StrEnum):
    """How a peer came out of the run."""

    GOOD = "good"
    WARN = "warn"
    FAILED = "failed"
    NOT_TESTED = "not tested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One peer of the report; ``layer`` to ``next_step`` are of what fails, or is remarkable.

    ``answer`` is what it said to the question, where it came to that.
    """

    organization_id: str
    home_community_id: str
    name: str
    transaction: str
    address: str | None
    result: Result
    layer: str | None = None
    code: str | None = None
    side: str | None = None
    sentence: str = ""
    next_step: str | None = None
    answer: str | None = None
    purpose: str | None = None
    outcome: str | None = None
    answer_ms: int | None = None
    tested_at: datetime | None = None
    deviations: tuple[str, ...] = ()
    certificate: ServerCertificate | None = None
    ledger_entry: str | None = None

    @property
    def standing(self) -> str:
        """How the peer stands, in the words that two runs are compared by."""
        return standing(self.result, self.layer, self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One peer that is otherwise than in the run before."""

    organization_id: str
    name: str
    before: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run.

    ``complete`` is false when it was stopped; ``since`` is the complete run that it is compared
    with. ``scope`` says which peers were meant.
    """

    format: int = FORMAT
    node: str
    home_community_id: str
    scope: str
    started: datetime
    ended: datetime
    complete: bool
    rows: tuple[Row, ...]
    since: datetime | None = None
    changes: tuple[Change, ...] = ()

    @property
    def all_good(self) -> bool:
        """Whether every peer that was meant answered as it should."""
        return self.complete and all(row.result in (Result.GOOD, Result.WARN) for row in self.rows)

    def count(self, result: Result) -> int:
        """How many peers came out so."""
        return sum(row.result is result for row in self.rows)


def row_of(report: ProbeReport) -> Row:
    """A peer's probe as a row."""
    remarkable = report.failed or _first(report.layers, State.WARN)
    in_order = Result.WARN if remarkable else Result.GOOD
    result = in_order if report.good else Result.FAILED
    shown = remarkable or report.layers[-1]
    return Row(
        organization_id=report.organization_id,
        home_community_id=report.home_community_id,
        name=report.name,
        transaction=report.transaction.value,
        address=report.address,
        result=result,
        layer=shown.layer.value if remarkable else None,
        code=shown.code,
        side=shown.side.value if shown.side else None,
        sentence=shown.sentence,
        next_step=shown.next_step,
        answer=_answer(report),
        purpose=report.purpose,
        outcome=report.outcome.value if report.outcome else None,
        answer_ms=report.answer_ms,
        tested_at=report.started,
        deviations=report.deviations,
        certificate=report.certificate,
        ledger_entry=report.leg_id,
    )


def changes_since(before: Mapping[str, tuple[str, str]], rows: Sequence[Row]) -> tuple[Change, ...]:
    """What is otherwise than before.

    Args:
        before: name and standing (``standing``) of each peer of the run before, by its id.
        rows: of this run.
    """
    changed = [
        Change(
            organization_id=row.organization_id,
            name=row.name,
            before=before[row.organization_id][1]
            if row.organization_id in before
            else "not in the run before",
            now=row.standing,
        )
        for row in rows
        if row.result is not Result.NOT_TESTED
        and before.get(row.organization_id, ("", ""))[1] != row.standing
    ]
    here = {row.organization_id for row in rows}
    gone = [
        Change(organization_id=identity, name=name, before=stood, now="no longer tested")
        for identity, (name, stood) in before.items()
        if identity not in here
    ]
    return (*changed, *gone)


def standing(result: object, layer: object, code: object) -> str:
    """Result, and the layer and code of what fails or is remarkable."""
    return str(result) if layer is None else f"{result} at {layer} ({code})"


def markdown(report: RunReport) -> str:
    """The report for people."""
    counts = ", ".join(f"{report.count(result)} {result}" for result in Result)
    lines = [
        f"# Connectivity test of {_cell(report.node)}",
        "",
        f"* home community: {report.home_community_id}",
        f"* begun {_time(report.started)}, ended {_time(report.ended)}",
        f"* peers: {report.scope}",
        f"* result: {counts}",
    ]
    if not report.complete:
        lines.append("* **The run was stopped before its end.**")
    lines += ["", "Each peer was asked for a synthetic test patient (ITI-55) under its purpose."]
    failed = [row for row in report.rows if row.result is Result.FAILED]
    if failed:
        lines += ["", "## To be reported and mended", ""]
        lines += [
            f"* **{_cell(row.name)}** ({row.home_community_id or row.organization_id}): fails at "
            f"{row.layer}, side: {row.side}. {_cell(row.sentence)} Next: {_cell(row.next_step)}"
            for row in failed
        ]
    since = f"Since the run of {_time(report.since)}" if report.since else "No earlier run"
    lines += ["", f"## {since}", ""]
    lines += [
        f"* {_cell(change.name)}: {change.before} → {change.now}" for change in report.changes
    ] or ["Nothing changed." if report.since else "There is nothing to compare with."]
    lines += [
        "",
        "## All peers",
        "",
        _HEAD,
        "|" + "---|" * (_HEAD.count("|") - 1),
    ]
    lines += [_table_row(row) for row in report.rows]
    return "\n".join(lines) + "\n"


def _table_row(row: Row) -> str:
    until = f"{row.certificate.not_after:%Y-%m-%d}" if row.certificate else ""
    cells = (
        row.name,
        row.home_community_id,
        row.result.value,
        row.layer,
        row.side,
        row.purpose,
        row.answer_ms,
        until,
        row.sentence,
    )
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _time(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC" if instant else "never"


def _answer(report: ProbeReport) -> str | None:
    answer = report.at(Layer.ANSWER)
    return answer.sentence if answer and answer.state is not State.NOT_REACHED else None


def _first(layers: Sequence[LayerResult], state: State) -> LayerResult | None:
    return next((one for one in layers if one.state is state), None)
