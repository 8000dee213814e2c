"""The directory in a database: import, lookups, pins and local settings.

The caller gives a SQLAlchemy engine (SQLite or PostgreSQL) whose tables exist (``tables``; they are
in SQLModel's metadata). Methods block; an async caller runs them in a thread. One store is safe
for several threads.

What the operator decides (pins, suspension, peer profile) lives apart from what is imported and
survives every import. Each write changes :meth:`DirectoryStore.version`.

Example::

    store = DirectoryStore(engine)
    report = store.import_rows(rows_of_files(path), source="rce", now=now)
    entries = store.by_home_community_id("urn:oid:2.999.1")
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select
from sqlmodel import col

from directory import queries
from directory.address import host_of
from directory.checks import Rules, rules
from directory.errors import DirectoryError
from directory.finding import Finding, Severity
from directory.hierarchy import ancestors, managing_organization
from directory.importing import ImportReport, Progress, import_rows, remove_rows
from directory.listed import SOURCE as LISTED
from directory.loading import load
from directory.local import LocalSettings
from directory.mapping import CommunityMapping, community_mapping
from directory.model import Organization
from directory.rows import Row
from directory.state import read_version, reading, writing
from directory.tables import FindingRow, SourceRow
from directory.taking import Taken, drop_list, listed_ids, refuse_listed_source, take_list
from directory.upsert import ImportSettings
from trust.network_list.listing import NetworkList

_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NPI = re.compile(r"[0-9]{10}")
_MAX_LIMIT = 1000
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some results and where to go on: give ``after`` to the next call, ``None`` is the end."""

    organizations: tuple[Organization, ...]
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where entries come from; ``imported_at`` is ISO 8601 in UTC."""

    name: str
    version: int
    imported_at: str
    organizations: int
    endpoints: int


class DirectoryStore:
    """The directory over one database.

    Attributes:
        local: pins, suspensions and peer profiles.
        generation: grows with every write through this store; caches compare it.
    """

    def __init__(self, engine: Engine, *, check_rules: Rules | None = None) -> None:
        self._engine = engine
        self._rules = check_rules or rules()
        self.generation = 0
        self.local = LocalSettings(engine, written=self._written)

    def _written(self) -> None:
        self.generation += 1

    # --- importing --------------------------------------------------------------------------------

    def import_rows(
        self,
        rows: Iterable[Row | Finding],
        *,
        source: str,
        now: datetime,
        mapping: CommunityMapping | None = None,
        progress: Progress | None = None,
        max_removed: float = 1.0,
    ) -> ImportReport:
        """Replace a source's entries by a stream of rows, in one transaction.

        Args:
            rows: from ``rows.rows_of_files`` and its like; read as a stream.
            source: a name of 1 to 64 letters, digits, dots, hyphens, underscores.
            now: the instant of the import.
            mapping: the community's; the built-in one when ``None``.
            progress: called with the number of rows read so far.
            max_removed: the share of the source's organisations that may disappear.

        Raises:
            DirectoryError: ``source-invalid``, ``empty-import``, ``import-removes-too-much``, and
                what reading the rows raises. Nothing has changed then.
        """
        refuse_listed_source(source)
        if not _SOURCE.fullmatch(source):
            raise DirectoryError("source-invalid", "This cannot be the name of a source.")
        settings = ImportSettings(
            source=source,
            mapping=mapping or community_mapping(),
            rules=self._rules,
            now=now,
            max_removed=max_removed,
        )
        with writing(self._engine) as connection:
            report = import_rows(connection, rows, settings, progress)
        self._written()
        return report

    def take_list(self, listed: NetworkList, *, now: datetime) -> Taken:
        """Make the directory say what a checked network list says; see ``taking``."""
        taken = take_list(self._engine, listed, now=now, check_rules=self._rules)
        self._written()
        return taken

    def drop_list(self) -> Taken:
        """Remove what a signed network list brought; see ``taking``."""
        dropped = drop_list(self._engine, check_rules=self._rules)
        self._written()
        return dropped

    def listed_ids(self) -> frozenset[str]:
        """The ids of the organisations that a signed network list brought."""
        return listed_ids(self._engine)

    def remove_source(self, source: str) -> tuple[int, int]:
        """Remove a source's entries; returns how many organisations and standalone endpoints.

        Raises:
            DirectoryError: ``unknown-source``.
        """
        if source not in {known.name for known in self.sources()}:
            raise DirectoryError("unknown-source", "There is no such source.")
        with writing(self._engine) as connection:
            removed = remove_rows(connection, source, self._rules)
        self._written()
        return removed

    def sources(self) -> tuple[Source, ...]:
        """All sources by name."""
        statement = select(SourceRow).order_by(col(SourceRow.name))
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        return tuple(
            Source(
                name=row.name,
                version=row.version,
                imported_at=row.imported_at,
                organizations=row.organizations,
                endpoints=row.endpoints,
            )
            for row in rows
        )

    def version(self) -> str:
        """Names the state of the directory: it changes with every import and local change."""
        with reading(self._engine) as connection:
            return read_version(connection)

    # --- lookups ----------------------------------------------------------------------------------

    def by_id(self, identity: str) -> Organization | None:
        """The organisation with a directory id, or ``None``."""
        return next(iter(self._load(queries.by_id(identity))), None)

    def by_home_community_id(self, hcid: str) -> tuple[Organization, ...]:
        """Organisations with a home community id (``urn:oid:…``), the best one first.

        More than one is a finding (``duplicate-hcid``); signed entries stand before unsigned
        ones, active before inactive, entries with endpoints before those without, then by id.
        """
        found = self._load(queries.by_identifier(hcid, queries.HCID))
        return tuple(sorted(found, key=_rank))

    def by_host(self, host: str) -> tuple[Organization, ...]:
        """Organisations with an endpoint on a host name (any case, A-labels), by id."""
        return self._load(queries.by_host(host.lower().rstrip(".")))

    def by_pin(self, spki: str) -> tuple[Organization, ...]:
        """Organisations to which a key is pinned, by id."""
        return self._load(queries.by_pin(spki.lower()))

    def responders(self, transaction: str, purpose: str | None = None) -> tuple[Organization, ...]:
        """Active, not suspended organisations that answer a transaction (for a purpose), by id."""
        return tuple(
            organization
            for organization in self._load(queries.by_transaction(transaction))
            if organization.active
            and not organization.suspended
            and organization.endpoint_for(transaction) is not None
            and (purpose is None or purpose in organization.responds(transaction))
        )

    def children(self, parent: str, *, limit: int = 100, after: str | None = None) -> Page:
        """Organisations directly below another, by id."""
        statement = queries.child_ids(parent, _limit(limit), after)
        with reading(self._engine) as connection:
            found = list(connection.scalars(statement).all())
            organizations = load(connection, queries.ids(found)) if found else ()
        return Page(organizations=organizations, after=found[-1] if len(found) == limit else None)

    def ancestors(self, identity: str) -> tuple[Organization, ...]:
        """The chain of parents, nearest first; it ends at a gap, a circle or 32 steps."""
        organization = self.by_id(identity)
        return ancestors(organization, self.by_id) if organization else ()

    def managing_organization(self, organization: Organization) -> Organization | None:
        """The stated managing organisation; where none is stated, the topmost ancestor."""
        return managing_organization(organization, self.by_id)

    def search(self, text: str, *, limit: int = 50, after: str | None = None) -> Page:
        """Find entries by id, HCID (also without ``urn:oid:``), TEFCAID, AAID, NPI, host or name.

        An exact identifier gives its holders; otherwise every word of ``text`` must begin a word of
        the name (case and accents do not matter), sorted by name. An empty text lists everything.

        Raises:
            DirectoryError: ``search-invalid`` for a limit outside 1 to 1000, a text longer than 200
                characters or an ``after`` that no search gave.
        """
        text = text.strip()
        if len(text) > _MAX_TEXT:
            raise DirectoryError("search-invalid", "The text is longer than 200 characters.")
        limit = _limit(limit)
        if text and after is None and (exact := self._exact(text)):
            return Page(organizations=exact[:limit])
        words = queries.words_of(text)
        if text and not words:
            return Page(organizations=())
        with reading(self._engine) as connection:
            found = connection.execute(queries.named_ids(words, limit, _mark(after))).all()
            identities = [row[1] for row in found]
            loaded = load(connection, queries.ids(identities)) if identities else ()
        by_id = {organization.id: organization for organization in loaded}
        return Page(
            organizations=tuple(by_id[i] for i in identities if i in by_id),
            after=f"{found[-1][1]} {found[-1][0]}" if len(found) == limit else None,
        )

    def _exact(self, text: str) -> tuple[Organization, ...]:
        if found := self.by_id(text):
            return (found,)
        for value in (text, f"urn:oid:{text}", text.lower(), f"urn:uuid:{text.lower()}"):
            if holders := self._load(queries.by_identifier(value)):
                return holders
        host = host_of(text) or (text.lower() if "." in text and " " not in text else None)
        return self.by_host(host) if host else ()

    def _load(self, statement: queries.Rows) -> tuple[Organization, ...]:
        with reading(self._engine) as connection:
            return load(connection, statement)

    # --- findings ---------------------------------------------------------------------------------

    def findings(
        self,
        *,
        source: str | None = None,
        severity: Severity | None = None,
        code: str | None = None,
        resource_id: str | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> Sequence[tuple[int, Finding]]:
        """Findings of the last imports with their numbers; the last number is the next ``after``.

        ``source`` may be ``importing.NETWORK`` for those about the directory as a whole.
        """
        statement = queries.findings(
            source=source,
            severity=severity,
            code=code,
            resource_id=resource_id,
            limit=_limit(limit),
            after=after,
        )
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        return [
            (
                row.id,
                Finding(
                    severity=Severity(row.severity),
                    code=row.code,
                    resource_id=row.resource_id,
                    sentence=row.sentence,
                    where=row.place,
                ),
            )
            for row in rows
        ]

    def finding_counts(self) -> dict[str, int]:
        """How many findings there are, by code."""
        code = col(FindingRow.code)
        statement = select(code, func.count()).group_by(code).order_by(code)
        with reading(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}


def _rank(organization: Organization) -> tuple[bool, bool, bool, str]:
    unsigned = organization.source != LISTED
    return unsigned, not organization.active, not organization.endpoints, organization.id


def _limit(limit: int) -> int:
    if not 1 <= limit <= _MAX_LIMIT:
        raise DirectoryError("search-invalid", f"The limit must be from 1 to {_MAX_LIMIT}.")
    return limit


def _mark(after: str | None) -> tuple[str, str] | None:
    """The (name key, id) of a page's ``after``; the id has no space, the name key may."""
    if after is None:
        return None
    identity, space, name = after.partition(" ")
    if not space:
        raise DirectoryError("search-invalid", "This is not the end of a page.")
    return name, identity
