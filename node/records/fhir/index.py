"""Writes FHIR resources into the index. Synchronous; a call is one transaction.

A resource that comes again replaces what was there under its id, unless what was there is newer, or
is about another patient: two systems that number their resources alike must never mix two charts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, text, update

from node.records.fhir.tables import (
    DATE,
    MANY,
    NOBODY,
    PERSON,
    REFERENCE,
    RESOURCE,
    TEXT,
    TOKEN,
)
from node.records.people import millis
from node.storage.bulk import insert_rows
from node.storage.engine import IMMEDIATE
from node.wire.fhir.bundle_reader import BundleResource
from node.wire.fhir.catalogue import Kind, resource_types
from node.wire.fhir.dates import Span, parse_span
from node.wire.fhir.extract import MAX_TEXT, Token, folded, values_of
from node.wire.fhir.references import is_id

_IN_ONE_QUERY = 500
_VALUES = {
    Kind.TOKEN: (TOKEN, ("key", "parameter", "code", "system")),
    Kind.STRING: (TEXT, ("key", "parameter", "folded", "exact")),
    Kind.DATE: (DATE, ("key", "parameter", "low", "high")),
    Kind.REFERENCE: (REFERENCE, ("key", "parameter", "target")),
}


class Origin(StrEnum):
    """Who wrote a resource; ``DOCUMENT`` is a Binary whose data is a document of the store."""

    GIVEN = "given"
    MADE = "made"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResource:
    """A resource to be indexed.

    ``sha256`` and ``start`` say where its bytes lie in the content store; without, they are kept in
    the database. ``local_id`` is the person of a Patient. ``size`` is that of a document.
    """

    resource: BundleResource
    origin: Origin = Origin.GIVEN
    sha256: str | None = None
    start: int = 0
    local_id: str | None = None
    size: int | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the bytes that are served."""
        if self.origin is Origin.DOCUMENT and self.sha256 is not None:
            return bytes.fromhex(self.sha256)
        return hashlib.sha256(self.resource.data).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What became of resources: how many are new, replaced, the same, and which were refused."""

    new: int = 0
    replaced: int = 0
    same: int = 0
    refused: tuple[str, ...] = field(default=())


class FhirIndex:
    """The writing side of the FHIR tables, which must exist."""

    def __init__(self, engine: Engine) -> None:
        """``engine`` is the node's."""
        self._engine = engine
        self._writing = engine.execution_options(**{IMMEDIATE: True})

    def add(self, resources: Sequence[NewResource], now: datetime) -> Indexed:
        """Index resources in one transaction; a type and id that comes twice counts once."""
        given = {(r.resource.type, r.resource.id): r for r in resources}
        with self._writing.begin() as connection:
            if connection.dialect.name == "postgresql":
                # keys become visible in their order: a page never goes past one that comes later
                connection.execute(text("LOCK TABLE fhir_resource IN SHARE ROW EXCLUSIVE MODE"))
            return self._add(connection, given, now)

    def known_patients(self, ids: Iterable[str]) -> dict[str, str]:
        """The persons of Patient resources that are held, by id."""
        found: dict[str, str] = {}
        waiting = iter(ids)
        with self._engine.connect() as connection:
            while some := list(islice(waiting, _IN_ONE_QUERY)):
                query = select(PERSON).where(PERSON.c.patient.in_(some))
                found |= {row.patient: row.local_id for row in connection.execute(query)}
        return found

    def counts(self) -> dict[str, int]:
        """How many resources of each type there are."""
        query = select(RESOURCE.c.type, func.count()).group_by(RESOURCE.c.type)
        with self._engine.connect() as connection:
            return {str(name): int(count) for name, count in connection.execute(query)}

    def remove(self, keys: Sequence[tuple[str, str]]) -> None:
        """Take resources out, by type and id."""
        with self._writing.begin() as connection:
            held = _held(connection, list(keys))
            _forget(connection, [row.key for row in held.values()], rows=True)

    def _add(
        self, connection: Connection, given: dict[tuple[str, str], NewResource], now: datetime
    ) -> Indexed:
        held = _held(connection, list(given))
        new: list[tuple[int, NewResource]] = []
        replaced: list[tuple[int, NewResource]] = []
        refused: list[str] = []
        following = int(connection.execute(select(func.max(RESOURCE.c.key))).scalar() or 0)
        same = 0
        for name, each in given.items():
            row = held.get(name)
            if row is None:
                following += 1
                new.append((following, each))
            elif bytes(row.digest) == each.digest and row.patient == patient_of(each.resource):
                same += 1
            elif row.patient != patient_of(each.resource) and each.origin is Origin.GIVEN:
                refused.append("/".join(name))
            elif _is_older(each, row):
                same += 1
            else:
                replaced.append((int(row.key), each))
        rows = [_row(key, each, None, now) for key, each in new]
        columns = tuple(column.name for column in RESOURCE.columns)
        insert_rows(connection, RESOURCE, columns, [[row[c] for c in columns] for row in rows])
        _forget(connection, [key for key, _ in replaced], rows=False)
        for key, each in replaced:
            before = held[each.resource.type, each.resource.id].version
            values = _row(key, each, before, now)
            connection.execute(update(RESOURCE).where(RESOURCE.c.key == key).values(**values))
        _write_values(connection, [*new, *replaced])
        _link(connection, [each for _, each in (*new, *replaced)])
        return Indexed(
            new=len(new), replaced=len(replaced), same=same, refused=tuple(sorted(refused))
        )


def patient_of(resource: BundleResource) -> str:
    """What stands in ``patient`` of a resource: deny by default where it is not exactly one."""
    if not resource.patients:
        return MANY if resource_types()[resource.type].of_patient else NOBODY
    one = next(iter(resource.patients))
    return one if len(resource.patients) == 1 and is_id(one) else MANY


def _held(
    connection: Connection, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Row[Any]]:
    found: dict[tuple[str, str], Row[Any]] = {}
    columns = (
        *(RESOURCE.c.key, RESOURCE.c.type, RESOURCE.c.id, RESOURCE.c.patient),
        *(RESOURCE.c.updated, RESOURCE.c.version, RESOURCE.c.digest),
    )
    by_type: dict[str, list[str]] = {}
    for type_, id_ in names:
        by_type.setdefault(type_, []).append(id_)
    for type_, ids in by_type.items():
        for start in range(0, len(ids), _IN_ONE_QUERY):
            some = ids[start : start + _IN_ONE_QUERY]
            query = select(*columns).where(RESOURCE.c.type == type_, RESOURCE.c.id.in_(some))
            found |= {(row.type, row.id): row for row in connection.execute(query)}
    return found


def _stated(resource: BundleResource, name: str) -> object:
    meta = resource.content.get("meta")
    return meta.get(name) if isinstance(meta, dict) else None


def _updated(resource: BundleResource) -> int | None:
    stated = _stated(resource, "lastUpdated")
    span = parse_span(stated) if isinstance(stated, str) else None
    return span.low if span is not None else None


def _is_older(new: NewResource, held: Row[Any]) -> bool:
    updated = _updated(new.resource)
    return updated is not None and updated < held.updated


def _row(key: int, new: NewResource, before: str | None, now: datetime) -> dict[str, Any]:
    resource = new.resource
    updated, stated = _updated(resource), _stated(resource, "versionId")
    if isinstance(stated, str) and is_id(stated):
        version = stated
    else:
        version = str(int(before) + 1) if before is not None and before.isdecimal() else "1"
    return {
        "key": key,
        "type": resource.type,
        "id": resource.id,
        "patient": patient_of(resource),
        "updated": millis(now) if updated is None else updated,
        "version": version,
        "digest": new.digest,
        "origin": new.origin.value,
        "sha256": new.sha256,
        "start": new.start,
        "size": len(resource.data) if new.size is None else new.size,
        "body": resource.data if new.sha256 is None or new.origin is Origin.DOCUMENT else None,
    }


def _forget(connection: Connection, keys: Sequence[int], *, rows: bool) -> None:
    tables = [table for table, _ in _VALUES.values()] + ([RESOURCE] if rows else [])
    for start in range(0, len(keys), _IN_ONE_QUERY):
        some = keys[start : start + _IN_ONE_QUERY]
        for table in tables:
            connection.execute(delete(table).where(table.c.key.in_(some)))


def _write_values(connection: Connection, resources: Sequence[tuple[int, NewResource]]) -> None:
    rows: dict[Kind, dict[tuple[int | str, ...], None]] = {kind: {} for kind in Kind}
    for key, new in resources:
        type_ = resource_types()[new.resource.type]
        for parameter in type_.parameters.values():
            if parameter.name == "_id":
                continue  # a column of the resource
            name = f"{type_.name}.{parameter.name}"
            for value in values_of(new.resource.content, parameter):
                match value:
                    case Token():
                        found: tuple[int | str, ...] = (key, name, value.code, value.system)
                    case Span():
                        found = (key, name, value.low, value.high)
                    case _ if parameter.kind is Kind.STRING:
                        found = (key, name, folded(value), value[:MAX_TEXT])
                    case _:
                        found = (key, name, value)
                rows[parameter.kind][found] = None
    for kind, (table, columns) in _VALUES.items():
        insert_rows(connection, table, columns, list(rows[kind]))


def _link(connection: Connection, resources: Sequence[NewResource]) -> None:
    for new in resources:
        if new.local_id is not None:
            who = new.resource.id
            connection.execute(delete(PERSON).where(PERSON.c.patient == who))
            connection.execute(insert(PERSON).values(patient=who, local_id=new.local_id))
