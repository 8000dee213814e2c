"""One import: a stream of rows becomes the new content of a source, in one transaction.

Rows are written in batches, so memory does not grow with the directory (except for the network's
rules, see ``network``). An entry whose digest is unchanged is only marked as seen; entries of the
source that were not seen are removed at the end. Nothing is visible before the commit.

Rules: an id belongs to the source that brought it first (another source cannot take it over), and
the first row with an id wins inside one import; the others are findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from itertools import islice

from sqlalchemy import ColumnElement, Connection, delete, exists, insert, literal, select, true
from sqlmodel import col

from directory.checks import Rules, check_possession
from directory.errors import DirectoryError
from directory.finding import Finding, finding
from directory.loading import load_all
from directory.network import Node, check_network, node_of
from directory.rows import Row
from directory.state import bump_imports
from directory.tables import EndpointRow, FindingRow, OrganizationRow, OwnerRow, SourceRow
from directory.upsert import ImportSettings, Tally, remove_unseen, store_findings, write_batch

NETWORK = "(network)"
"""The source of findings about the directory as a whole; no import can have this name."""

_BATCH = 1000

Progress = Callable[[int], None]
"""Called with the number of rows read so far, about once every thousand rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an import did to the rows of its source."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        """Rows after the import."""
        return self.added + self.changed + self.unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did.

    Attributes:
        version: the directory's version after it.
        source: whose entries were replaced.
        rows: rows read, unusable ones included.
        left_out: rows that gave neither an organisation nor an endpoint; each has a finding.
        organizations, endpoints: counts (endpoints: standalone ones).
        findings: number of findings by code: of this source's rows and of the whole network.
        errors: number of findings with severity error.
    """

    version: str
    source: str
    rows: int
    left_out: int
    organizations: Counts
    endpoints: Counts
    findings: dict[str, int]
    errors: int


def import_rows(
    connection: Connection,
    rows: Iterable[Row | Finding],
    settings: ImportSettings,
    progress: Progress | None = None,
) -> ImportReport:
    """Replace a source's entries. The caller's transaction makes it one step.

    Raises:
        DirectoryError: ``empty-import`` when no organisation is usable,
            ``import-removes-too-much``; whatever the rows raise.
    """
    version, seen = bump_imports(connection)
    tally = Tally()
    connection.execute(delete(FindingRow).where(col(FindingRow.source) == settings.source))
    stream = iter(rows)
    while batch := list(islice(stream, _BATCH)):
        write_batch(connection, batch, settings, seen, tally)
        if progress is not None:
            progress(tally.rows)
    removed = remove_unseen(connection, settings.source, seen)
    tally.organizations["removed"], tally.endpoints["removed"] = removed
    _check_sizes(tally, settings)
    _join_by_managing_organization(connection, settings.source)
    store_findings(connection, settings.source, _check_joins(connection, settings.source), tally)
    check_whole_network(connection, settings.rules, tally_into=tally)
    report = ImportReport(
        version=version,
        source=settings.source,
        rows=tally.rows,
        left_out=tally.left_out,
        organizations=Counts(**tally.organizations),
        endpoints=Counts(**tally.endpoints),
        findings=dict(sorted(tally.findings.items())),
        errors=tally.errors,
    )
    _write_source(connection, settings, seen, report)
    return report


def check_whole_network(
    connection: Connection, rules: Rules, *, tally_into: Tally | None = None
) -> None:
    """Run the rules that look at all entries of all sources, and store their findings anew."""
    connection.execute(delete(FindingRow).where(col(FindingRow.source) == NETWORK))
    found: list[Finding] = []

    def nodes() -> Iterator[Node]:
        for organization in load_all(connection):
            endpoints = len(organization.endpoints)
            found.extend(check_possession(organization, rules, endpoints=endpoints))
            yield node_of(organization)

    found.extend(check_network(nodes()))
    store_findings(connection, NETWORK, found, tally_into or Tally())


def remove_rows(connection: Connection, source: str, rules: Rules) -> tuple[int, int]:
    """Remove a source with all its entries; returns how many organisations and endpoints."""
    _, seen = bump_imports(connection)
    connection.execute(delete(FindingRow).where(col(FindingRow.source) == source))
    connection.execute(delete(SourceRow).where(col(SourceRow.name) == source))
    removed = remove_unseen(connection, source, seen)
    check_whole_network(connection, rules)
    return removed


def _check_sizes(tally: Tally, settings: ImportSettings) -> None:
    counts = Counts(**tally.organizations)
    if not counts.total:
        raise DirectoryError("empty-import", "The import has no usable organisation.")
    before = counts.changed + counts.unchanged + counts.removed
    if before and counts.removed / before > settings.max_removed:
        raise DirectoryError(
            "import-removes-too-much",
            f"The import would remove {counts.removed} of {before} organisations.",
        )


def _join_by_managing_organization(connection: Connection, source: str) -> None:
    """A standalone endpoint that no organisation refers to belongs to the one it names itself."""
    connection.execute(
        delete(OwnerRow).where(col(OwnerRow.source) == source, col(OwnerRow.derived) == true())
    )
    connection.execute(
        insert(OwnerRow).from_select(
            ["organization_id", "endpoint_id", "source", "derived"],
            select(
                col(OrganizationRow.id), col(EndpointRow.id), col(EndpointRow.source), literal(True)
            )
            .join(
                OrganizationRow,
                col(OrganizationRow.id) == col(EndpointRow.managing_organization),
            )
            .where(
                col(EndpointRow.source) == source,
                col(OrganizationRow.source) == source,
                ~_owned(),
            ),
        )
    )


def _owned() -> ColumnElement[bool]:
    return exists().where(
        col(OwnerRow.source) == col(EndpointRow.source),
        col(OwnerRow.endpoint_id) == col(EndpointRow.id),
    )


def _check_joins(connection: Connection, source: str) -> Iterator[Finding]:
    held = exists().where(
        col(EndpointRow.source) == col(OwnerRow.source),
        col(EndpointRow.id) == col(OwnerRow.endpoint_id),
    )
    missing = select(col(OwnerRow.organization_id), col(OwnerRow.endpoint_id)).where(
        col(OwnerRow.source) == source, ~held
    )
    for identity, key in connection.execute(missing).all():
        yield finding("missing-endpoint", identity, endpoint=key)
    alone = select(col(EndpointRow.id)).where(col(EndpointRow.source) == source, ~_owned())
    for key in connection.scalars(alone).all():
        yield finding("endpoint-without-organization", key)


def _write_source(
    connection: Connection, settings: ImportSettings, version: int, report: ImportReport
) -> None:
    connection.execute(delete(SourceRow).where(col(SourceRow.name) == settings.source))
    connection.execute(
        insert(SourceRow),
        [
            {
                "name": settings.source,
                "version": version,
                "imported_at": settings.now.astimezone(UTC).isoformat(timespec="seconds"),
                "organizations": report.organizations.total,
                "endpoints": report.endpoints.total,
            }
        ],
    )
