"""Runs ``peer test --all``: progress on a terminal, Ctrl-C in good order, a report at the end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from node.cli.home import Wiring
from node.cli.output import err
from node.errors import SettingsError
from node.exchange.ports import PeerEntry
from node.model import Transaction
from node.probe.report import Result, Row, RunReport, changes_since, row_of
from node.probe.report_files import earlier_run, write_report
from node.probe.run import probe_all
from node.probing import Probing
from node.settings import NodeHome, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """A run's report, and the files it was written to."""

    report: RunReport
    files: tuple[Path, Path]


async def run_test(
    home: NodeHome,
    settings: Settings,
    wiring: Wiring,
    *,
    source: str | None,
    unused_days: float | None,
    concurrency: int,
    purpose: str,
) -> TestRun:
    """Test every peer and write the report; a run that is stopped is written as incomplete.

    ``unused_days`` leaves out peers with whom something was exchanged in so many days.

    Raises:
        SettingsError: ``purpose-missing``, or ``peers-missing`` when there is nobody to test.
    """
    started = datetime.now(UTC)
    rows: dict[str, Row] = {}
    complete = True
    async with wiring.probing(home, settings) as probing:
        unused_since = None if unused_days is None else started - timedelta(days=unused_days)
        entries = probing.entries(source, unused_since=unused_since)
        if not entries:
            whose = f"of the source {source} " if source else ""
            whose += f"unused for {unused_days:g} days " if unused_days is not None else ""
            raise SettingsError(
                "peers-missing", f"The directory has no active peer {whose}that can be tested."
            )
        try:
            await _probe(probing, entries, rows, concurrency=concurrency, purpose=purpose)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            complete = False
    scope = f"entries of the source {source}" if source else "all active entries with ITI-55"
    if unused_days is not None:
        scope += f", unused for {unused_days:g} days"
    report = _report(settings, entries, rows, scope=scope, started=started, complete=complete)
    earlier = earlier_run(home.reports, scope)
    if earlier is not None:
        report = replace(
            report, since=earlier.started, changes=changes_since(earlier.standings, report.rows)
        )
    return TestRun(report=report, files=write_report(home.reports, report))


async def _probe(
    probing: Probing,
    entries: Sequence[PeerEntry],
    rows: dict[str, Row],
    *,
    concurrency: int,
    purpose: str,
) -> None:
    targets = [probing.target(entry, Transaction.ITI_55, purpose) for entry in entries]
    with _progress(len(targets)) as shown:
        reports = probe_all(targets, probing.probe, concurrency=concurrency)
        async with aclosing(reports):
            async for report in reports:
                row = row_of(report)
                rows[row.organization_id] = row
                shown.take(row)


def _report(
    settings: Settings,
    entries: Sequence[PeerEntry],
    rows: dict[str, Row],
    *,
    scope: str,
    started: datetime,
    complete: bool,
) -> RunReport:
    return RunReport(
        node=settings.node.name,
        home_community_id=settings.node.home_community_id,
        scope=scope,
        started=started,
        ended=datetime.now(UTC),
        complete=complete,
        rows=tuple(rows.get(entry.organization_id) or _untested(entry) for entry in entries),
    )


def _untested(entry: PeerEntry) -> Row:
    return Row(
        organization_id=entry.organization_id,
        home_community_id=entry.home_community_id,
        name=entry.name,
        transaction=Transaction.ITI_55.value,
        address=entry.addresses.get(Transaction.ITI_55),
        result=Result.NOT_TESTED,
    )


class _Shown:
    """A progress bar where a terminal reads, nothing elsewhere."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("testing", total=total, failed=0) if progress else None
        self._failed = 0

    def take(self, row: Row) -> None:
        """One more peer is done."""
        self._failed += row.result is Result.FAILED
        if self._progress is not None and self._task is not None:
            if row.result is Result.FAILED:
                where = f"{escape(row.name)} fails at {row.layer}, side: {row.side}"
                self._progress.console.print(where)
            self._progress.update(self._task, advance=1, failed=self._failed)


@contextmanager
def _progress(total: int) -> Iterator[_Shown]:
    if not sys.stderr.isatty():
        yield _Shown(None, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        yield _Shown(progress, total)
