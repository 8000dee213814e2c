"""Writing one batch of an import: what is new, changed or the same, decided by digest.

Every write is a Core ``executemany``. A changed entry is removed with its rows and written again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update
from sqlmodel import col

from directory import queries
from directory.address import host_of
from directory.checks import Rules, check_endpoint, check_organization, check_period
from directory.codec import dump_endpoint, dump_organization
from directory.fhir import LooseEndpoint, Reading, read_row
from directory.finding import Finding, Severity, finding
from directory.mapping import CommunityMapping
from directory.model import Endpoint, Organization
from directory.rows import Row
from directory.tables import (
    EndpointRow,
    FindingRow,
    IdentifierRow,
    OrganizationRow,
    OwnerRow,
    ServiceRow,
    WordRow,
)

_CHILDREN = (IdentifierRow, WordRow, OwnerRow, EndpointRow, ServiceRow)
_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSettings:
    """What an import needs besides its rows.

    ``max_removed`` is the share (0 to 1) of the source's entries that may disappear.
    """

    source: str
    mapping: CommunityMapping
    rules: Rules
    now: datetime
    max_removed: float = 1.0


@dataclass(slots=True)
class Tally:
    """What has been counted so far."""

    rows: int = 0
    left_out: int = 0
    organizations: Counter[str] = field(default_factory=Counter)
    endpoints: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    errors: int = 0


def write_batch(
    connection: Connection,
    batch: list[Row | Finding],
    settings: ImportSettings,
    seen: int,
    tally: Tally,
) -> None:
    """Read, check and write some rows, at most a thousand; ``seen`` is the import's number."""
    findings: list[Finding] = []
    organizations: dict[str, Reading] = {}
    endpoints: dict[str, LooseEndpoint] = {}
    for row in batch:
        tally.rows += 1
        if isinstance(row, Finding):
            findings.append(row)
            tally.left_out += 1
            continue
        reading = read_row(row, settings.mapping)
        findings.extend(reading.findings)
        organization, loose = reading.organization, reading.endpoint
        if organization is not None and organization.id not in organizations:
            organizations[organization.id] = reading
        elif loose is not None and loose.endpoint.id not in endpoints:
            endpoints[loose.endpoint.id] = loose
        else:
            tally.left_out += 1
            twice = organization or (loose and loose.endpoint)
            if twice:
                findings.append(finding("duplicate-id", twice.id, row.where))
    findings.extend(_write_organizations(connection, organizations, settings, seen, tally))
    findings.extend(_write_endpoints(connection, endpoints, settings, seen, tally))
    store_findings(connection, settings.source, findings, tally)


def _write_organizations(
    connection: Connection,
    readings: dict[str, Reading],
    settings: ImportSettings,
    seen: int,
    tally: Tally,
) -> list[Finding]:
    if not readings:
        return []
    table = OrganizationRow
    statement = select(col(table.id), col(table.source), col(table.seen), col(table.digest))
    held = {row[0]: row for row in connection.execute(statement.where(col(table.id).in_(readings)))}
    findings: list[Finding] = []
    written: list[_Written] = []
    replaced: list[str] = []
    same: list[str] = []
    for identity, reading in readings.items():
        before = held.get(identity)
        if refusal := _refusal(identity, reading, before, settings.source, seen=seen):
            tally.left_out += 1
            findings.append(refusal)
            continue
        item = _Written.of(reading)
        findings.extend(_check(item.organization, settings, reading.where))
        if before is not None and before[3] == item.digest:
            same.append(identity)
            continue
        if before is not None:
            replaced.append(identity)
        written.append(item)
    if same:
        connection.execute(update(table).where(col(table.id).in_(same)).values(seen=seen))
    if replaced:
        remove_organizations(connection, replaced)
    for kind, rows in _rows_of(written, settings.source, seen).items():
        if rows:
            connection.execute(insert(kind), rows)
    tally.organizations["unchanged"] += len(same)
    tally.organizations["changed"] += len(replaced)
    tally.organizations["added"] += len(written) - len(replaced)
    return findings


def _refusal(
    identity: str, reading: Reading, before: Any, source: str, *, seen: int
) -> Finding | None:
    """Why a row must not be written: its id is another source's, or came in an earlier batch."""
    if before is not None and before[1] != source:
        return finding("id-of-other-source", identity, reading.where, source=before[1])
    if before is not None and before[2] == seen:
        return finding("duplicate-id", identity, reading.where)
    return None


@dataclass(frozen=True, slots=True)
class _Written:
    """An organisation about to be written."""

    organization: Organization
    refs: tuple[str, ...]
    content: bytes
    digest: str

    @classmethod
    def of(cls, reading: Reading) -> _Written:
        if reading.organization is None:
            raise TypeError("the reading holds no organisation")
        content = dump_organization(reading.organization)
        digest = _digest(content, *reading.endpoint_refs)
        return cls(reading.organization, reading.endpoint_refs, content, digest)


def _check(organization: Organization, settings: ImportSettings, where: str) -> Iterator[Finding]:
    yield from check_organization(organization, settings.rules, where=where)
    for endpoint in organization.endpoints:
        yield from check_period(endpoint, organization.id, now=settings.now, where=where)


def _rows_of(written: list[_Written], source: str, seen: int) -> dict[Any, list[dict[str, object]]]:
    """The rows of organisations with all that hangs on them, by table."""
    rows: dict[Any, list[dict[str, object]]] = {
        table: [] for table in (OrganizationRow, *_CHILDREN)
    }
    for item in written:
        organization = item.organization
        identity = organization.id
        rows[OrganizationRow].append(
            {
                "id": identity,
                "source": source,
                "seen": seen,
                "digest": item.digest,
                "name_key": queries.name_key(organization.name),
                "part_of": organization.part_of,
                "content": item.content.decode(),
            }
        )
        rows[IdentifierRow].extend(
            {"organization_id": identity, "kind": kind, "value": value}
            for kind, value in _identifiers(organization)
        )
        rows[WordRow].extend(
            {"organization_id": identity, "word": word}
            for word in queries.words_of(organization.name)
        )
        keys = [f"{identity}#{endpoint.id}" for endpoint in organization.endpoints]
        for endpoint, key in zip(organization.endpoints, keys, strict=True):
            rows[EndpointRow].append(
                _endpoint_row(endpoint, key, source, seen, organization_id=identity)
            )
            rows[ServiceRow].extend(_service_rows(endpoint, key, source, organization_id=identity))
        rows[OwnerRow].extend(
            {"organization_id": identity, "endpoint_id": key, "source": source, "derived": False}
            for key in (*keys, *item.refs)
        )
    return rows


def _identifiers(organization: Organization) -> list[tuple[str, str]]:
    return [
        *((queries.HCID, value) for value in organization.home_community_ids),
        *((queries.TEFCAID, value) for value in organization.tefca_ids),
        *((queries.AAID, value) for value in organization.assigning_authorities),
        *((queries.NPI, value) for value in organization.npis),
    ]


def _write_endpoints(
    connection: Connection,
    loose: dict[str, LooseEndpoint],
    settings: ImportSettings,
    seen: int,
    tally: Tally,
) -> Iterator[Finding]:
    if not loose:
        return
    table = EndpointRow
    mine = and_(col(table.source) == settings.source, col(table.id).in_(loose))
    statement = select(col(table.id), col(table.seen), col(table.digest)).where(mine)
    held = {row[0]: row for row in connection.execute(statement)}
    inserts: list[dict[str, object]] = []
    services: list[dict[str, object]] = []
    replaced: list[str] = []
    same: list[str] = []
    for key, item in loose.items():
        before = held.get(key)
        if before is not None and before[1] == seen:
            tally.left_out += 1
            yield finding("duplicate-id", key, item.where)
            continue
        yield from check_endpoint(item.endpoint, key, where=item.where)
        yield from check_period(item.endpoint, key, now=settings.now, where=item.where)
        content = dump_endpoint(item.endpoint)
        digest = _digest(content, item.organization_id or "", str(item.inherits))
        if before is not None and before[2] == digest:
            same.append(key)
            continue
        if before is not None:
            replaced.append(key)
        row = _endpoint_row(item.endpoint, key, settings.source, seen, organization_id=None)
        inserts.append(
            {
                **row,
                "digest": digest,
                "content": content.decode(),
                "inherits": item.inherits,
                "managing_organization": item.organization_id,
            }
        )
        services.extend(_service_rows(item.endpoint, key, settings.source, organization_id=None))
    if same:
        chosen = and_(col(table.source) == settings.source, col(table.id).in_(same))
        connection.execute(update(table).where(chosen).values(seen=seen))
    if replaced:
        _remove_endpoints(connection, settings.source, replaced)
    if inserts:
        connection.execute(insert(table), inserts)
    if services:
        connection.execute(insert(ServiceRow), services)
    tally.endpoints["unchanged"] += len(same)
    tally.endpoints["changed"] += len(replaced)
    tally.endpoints["added"] += len(inserts) - len(replaced)


def _endpoint_row(
    endpoint: Endpoint, key: str, source: str, seen: int, *, organization_id: str | None
) -> dict[str, object]:
    return {
        "source": source,
        "id": key,
        "organization_id": organization_id,
        "managing_organization": None,
        "seen": seen,
        "digest": "",
        "host": host_of(endpoint.address),
        "inherits": False,
        "content": None,
    }


def _service_rows(
    endpoint: Endpoint, key: str, source: str, *, organization_id: str | None
) -> list[dict[str, object]]:
    return [
        {
            "source": source,
            "endpoint_id": key,
            "transaction": transaction,
            "organization_id": organization_id,
        }
        for transaction in sorted(endpoint.transactions)
    ]


def _digest(content: bytes, *parts: str) -> str:
    digest = hashlib.sha256(content)
    for part in parts:
        digest.update(b"\x00" + part.encode())
    return digest.hexdigest()


# --- removing -------------------------------------------------------------------------------------


def remove_unseen(connection: Connection, source: str, seen: int) -> tuple[int, int]:
    """Remove what an import did not see; returns how many organisations and endpoints."""
    table = OrganizationRow
    stale = select(col(table.id)).where(col(table.source) == source, col(table.seen) != seen)
    organizations = 0
    while found := connection.scalars(stale.limit(_CHUNK)).all():
        remove_organizations(connection, list(found))
        organizations += len(found)
    loose = select(col(EndpointRow.id)).where(
        col(EndpointRow.source) == source,
        col(EndpointRow.seen) != seen,
        col(EndpointRow.content).is_not(None),
    )
    endpoints = 0
    while found := connection.scalars(loose.limit(_CHUNK)).all():
        _remove_endpoints(connection, source, list(found))
        endpoints += len(found)
    return organizations, endpoints


def remove_organizations(connection: Connection, identities: list[str]) -> None:
    """Removes entries with all their rows, whatever their source."""
    for table in _CHILDREN:
        connection.execute(delete(table).where(col(table.organization_id).in_(identities)))
    connection.execute(delete(OrganizationRow).where(col(OrganizationRow.id).in_(identities)))


def _remove_endpoints(connection: Connection, source: str, keys: list[str]) -> None:
    connection.execute(
        delete(ServiceRow).where(
            col(ServiceRow.source) == source, col(ServiceRow.endpoint_id).in_(keys)
        )
    )
    connection.execute(
        delete(EndpointRow).where(col(EndpointRow.source) == source, col(EndpointRow.id).in_(keys))
    )


def store_findings(
    connection: Connection, source: str, findings: Iterable[Finding], tally: Tally
) -> None:
    """Write findings and count them."""
    rows = []
    for item in findings:
        tally.findings[item.code] += 1
        tally.errors += item.severity is Severity.ERROR
        rows.append(
            {
                "source": source,
                "severity": item.severity.value,
                "code": item.code,
                "resource_id": item.resource_id,
                "sentence": item.sentence,
                "place": item.where,
            }
        )
    for start in range(0, len(rows), _CHUNK):
        connection.execute(insert(FindingRow), rows[start : start + _CHUNK])
