"""``LocalFhir``: the resources of the health system, as ``exchange.fhir_ports.FhirRecords``.

Work on the database and on files runs in threads, within a time limit that the database keeps.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, func, select

from node.errors import OurFault
from node.exchange.fhir_ports import Cursor, FoundPage, HeldResource, MatchedPatient, View
from node.exchange.ports import LocalPatient
from node.model import Demographics, PatientId
from node.records.fhir.deadline import bounded
from node.records.fhir.people import FhirPeople
from node.records.fhir.search import matching, page, visible
from node.records.fhir.tables import MANY, NOBODY, REFERENCE, RESOURCE
from node.records.index import RecordIndex
from node.records.store import ContentStore
from node.wire import document_codes
from node.wire.fhir.catalogue import ResourceType, resource_types
from node.wire.fhir.query import Include, SearchQuery
from node.wire.fhir.references import local_reference

_IN_ONE_QUERY = 400
_CERTAIN = 90
"""The score from which two people are one (``node.records.matching.Score.percent``)."""
_ROUNDS = 20
"""How often a page is filled up after people were left out who asked not to share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirLimits:
    """What one request may cost: seconds of the database, included resources, counted matches."""

    seconds: float = 10.0
    included: int = 1000
    counted: int = 10_000


class LocalFhir:
    """Reads the FHIR tables and the content store."""

    def __init__(
        self,
        engine: Engine,
        records: RecordIndex,
        store: ContentStore,
        limits: FhirLimits | None = None,
    ) -> None:
        """``records`` knows the people, ``store`` has the bytes."""
        self._engine = engine
        self._records = records
        self._store = store
        self._people = FhirPeople(engine)
        self._limits = limits or FhirLimits()

    async def offer(self) -> Mapping[str, ResourceType]:
        """The whole catalogue."""
        return resource_types()

    async def read(self, type_: str, id_: str, view: View) -> HeldResource | None:
        """One resource, or ``None`` when it is not held or may not be seen."""
        return await asyncio.to_thread(self._read, type_, id_, view)

    async def binary(self, id_: str, view: View, *, as_resource: bool) -> HeldResource | None:  # noqa: ARG002 - both are held alike
        """A Binary."""
        return await self.read("Binary", id_, view)

    async def search(self, query: SearchQuery, view: View, after: Cursor | None) -> FoundPage:
        """One page of a search."""
        return await asyncio.to_thread(self._search, query, view, after)

    async def count(self, query: SearchQuery, view: View) -> int:
        """How many resources match."""
        return await asyncio.to_thread(self._count_all, query, view)

    async def match(
        self, demographics: Demographics, view: View, *, only_certain: bool, limit: int
    ) -> Sequence[MatchedPatient]:
        """Patients with these demographics, best first; certain ones alone where asked for."""
        return await asyncio.to_thread(
            self._match, demographics, view, only_certain=only_certain, limit=limit
        )

    async def persons(self, patients: frozenset[str]) -> Sequence[PatientId]:
        """Our identifiers of the persons that Patients are."""
        if not patients:
            return ()
        found = await asyncio.to_thread(self._people.persons, patients)
        return [self._records.patient_id(local_id) for local_id in sorted(set(found.values()))]

    async def document(self, held: HeldResource) -> AsyncIterator[bytes]:
        """A document's bytes in chunks."""
        chunks = self._store.chunks(held.document or "")
        try:
            while (chunk := await asyncio.to_thread(next, chunks, b"")) != b"":
                yield chunk
        finally:
            chunks.close()

    # --- in a thread --------------------------------------------------------------------------

    def _read(self, type_: str, id_: str, view: View) -> HeldResource | None:
        if type_ not in view.scopes:
            return None
        condition = and_(
            RESOURCE.c.type == type_,
            RESOURCE.c.id == id_,
            visible(view.patient, view.scopes[type_]),
        )
        with bounded(self._engine, self._limits.seconds) as connection:
            rows = connection.execute(select(RESOURCE).where(condition)).all()
        shown = self._shown(rows, view)
        return self._held(shown[0]) if shown else None

    def _search(self, query: SearchQuery, view: View, after: Cursor | None) -> FoundPage:
        condition = self._matching(query, view)
        with bounded(self._engine, self._limits.seconds) as connection:
            rows, following = self._page(connection, query, condition, view, after)
            total = None
            if after is None and following is None:
                total = len(rows)
            elif after is None and query.total != "none":
                total = self._count(connection, condition, view, most=self._limits.counted)
            found = {int(row.key) for row in rows}
            included = self._included(connection, query, rows, view)
        extra = [row for row in included if int(row.key) not in found]
        is_cut = len(extra) > self._limits.included
        return FoundPage(
            matches=tuple(map(self._held, rows)),
            included=tuple(map(self._held, extra[: self._limits.included])),
            following=following,
            total=total,
            is_cut=is_cut,
        )

    def _matching(self, query: SearchQuery, view: View) -> Any:
        own = document_codes.fhir_uri(self._records.community.assigning_authority)
        return matching(query, view.patient, view.scopes.get(query.type.name, ()), own)

    def _page(
        self,
        connection: Connection,
        query: SearchQuery,
        condition: Any,
        view: View,
        after: Cursor | None,
    ) -> tuple[list[Row[Any]], Cursor | None]:
        """A page's rows, and where the next page begins."""
        kept: list[Row[Any]] = []
        for _ in range(_ROUNDS):
            rows = connection.execute(page(query, condition, after, query.count + 1)).all()
            kept += self._shown(rows, view)
            if len(kept) > query.count:
                return kept[: query.count], _cursor(kept[query.count - 1])
            if len(rows) <= query.count:
                return kept, None
            after = _cursor(rows[-1])
        return kept, after

    def _count_all(self, query: SearchQuery, view: View) -> int:
        condition = self._matching(query, view)
        with bounded(self._engine, self._limits.seconds) as connection:
            return self._count(connection, condition, view, most=None) or 0

    def _count(
        self, connection: Connection, condition: Any, view: View, *, most: int | None
    ) -> int | None:
        """How many match; ``None`` where there are more than ``most``."""
        inner = select(RESOURCE.c.patient).where(condition)
        if most is not None:
            inner = inner.limit(most + 1)
        rows = inner.subquery()
        counted = select(rows.c.patient, func.count()).group_by(rows.c.patient)
        found = {str(patient): int(n) for patient, n in connection.execute(counted)}
        if most is not None and sum(found.values()) > most:
            return None
        hidden = self._hidden(found, view)
        return sum(n for patient, n in found.items() if patient not in hidden)

    def _included(
        self, connection: Connection, query: SearchQuery, matches: Sequence[Row[Any]], view: View
    ) -> list[Row[Any]]:
        found: dict[int, Row[Any]] = {}
        for include in query.include:
            names = self._targets(connection, include, [int(row.key) for row in matches])
            for row in self._named(connection, names, view):
                found[int(row.key)] = row
        matched = [f"{row.type}/{row.id}" for row in matches]
        for include in query.revinclude:
            for row in self._referring(connection, include, matched, view):
                found[int(row.key)] = row
        return self._shown(list(found.values()), view)

    def _targets(
        self, connection: Connection, include: Include, keys: Sequence[int]
    ) -> list[tuple[str, str]]:
        name = f"{include.source}.{include.parameter}"
        found: dict[tuple[str, str], None] = {}
        for start in range(0, len(keys), _IN_ONE_QUERY):
            some = keys[start : start + _IN_ONE_QUERY]
            statement = select(REFERENCE.c.target).where(
                REFERENCE.c.key.in_(some), REFERENCE.c.parameter == name
            )
            for target in connection.execute(statement).scalars():
                local = local_reference(target)
                if local is not None and include.target in (None, local[0]):
                    found[local] = None
        return list(found)[: self._limits.included + 1]

    def _named(
        self, connection: Connection, names: Iterable[tuple[str, str]], view: View
    ) -> list[Row[Any]]:
        by_type: dict[str, list[str]] = {}
        for type_, id_ in names:
            if type_ in view.scopes:
                by_type.setdefault(type_, []).append(id_)
        rows: list[Row[Any]] = []
        for type_, ids in by_type.items():
            for start in range(0, len(ids), _IN_ONE_QUERY):
                condition = and_(
                    RESOURCE.c.type == type_,
                    RESOURCE.c.id.in_(ids[start : start + _IN_ONE_QUERY]),
                    visible(view.patient, view.scopes[type_]),
                )
                rows += connection.execute(select(RESOURCE).where(condition)).all()
        return rows

    def _referring(
        self, connection: Connection, include: Include, names: Sequence[str], view: View
    ) -> list[Row[Any]]:
        if include.source not in view.scopes:
            return []
        rows: list[Row[Any]] = []
        parameter = f"{include.source}.{include.parameter}"
        for start in range(0, len(names), _IN_ONE_QUERY):
            keys = select(REFERENCE.c.key).where(
                REFERENCE.c.parameter == parameter,
                REFERENCE.c.target.in_(names[start : start + _IN_ONE_QUERY]),
            )
            condition = and_(
                RESOURCE.c.key.in_(keys), visible(view.patient, view.scopes[include.source])
            )
            statement = select(RESOURCE).where(condition).order_by(RESOURCE.c.key)
            rows += connection.execute(statement.limit(self._limits.included + 1)).all()
        return rows

    def _match(
        self, demographics: Demographics, view: View, *, only_certain: bool, limit: int
    ) -> list[MatchedPatient]:
        certain = self._records.match(demographics)
        sure = {person.patient_id for person in certain}
        people: list[LocalPatient] = list(certain)
        if not only_certain:
            people += [
                p for p in self._records.candidates(demographics) if p.patient_id not in sure
            ]
        found: list[MatchedPatient] = []
        for person in people:
            patients = self._people.patients([person.patient_id.id])
            for id_ in patients[:1] if only_certain else patients:
                held = self._read("Patient", id_, view)
                if held is not None and len(found) < limit:
                    grade = "certain" if person.patient_id in sure else _grade(person.score)
                    found.append(MatchedPatient(patient=held, score=person.score, grade=grade))
        return found

    # --- what may be seen, and its bytes ------------------------------------------------------

    def _shown(self, rows: Sequence[Row[Any]], view: View) -> list[Row[Any]]:
        hidden = self._hidden({str(row.patient) for row in rows}, view)
        return [row for row in rows if row.patient not in hidden]

    def _hidden(self, patients: Collection[str], view: View) -> frozenset[str]:
        """Those who asked not to share; what is about several people goes with them."""
        if not view.opt_outs.identifiers:
            return frozenset()
        asked = [patient for patient in patients if patient not in (MANY, NOBODY)]
        persons = self._people.persons(asked)
        hidden = {MANY}
        for patient in asked:
            local_id = persons.get(patient)
            ids = self._records.identifiers(self._records.patient_id(local_id)) if local_id else []
            if local_id is None or view.opt_outs.any_of(ids):
                hidden.add(patient)
        return frozenset(hidden)

    def _held(self, row: Row[Any]) -> HeldResource:
        is_document = row.origin == "document"
        return HeldResource(
            type=row.type,
            id=row.id,
            data=self._bytes(row),
            patient=None if row.patient in (MANY, NOBODY) else row.patient,
            updated=int(row.updated),
            version=row.version,
            document=row.sha256 if is_document else None,
            size=int(row.size) if is_document else 0,
        )

    def _bytes(self, row: Row[Any]) -> bytes:
        if row.body is not None:
            return bytes(row.body)
        data = self._store.part(row.sha256, int(row.start), int(row.size))
        if hashlib.sha256(data).digest() != bytes(row.digest):
            raise OurFault(
                "fhir-content-changed", "The stored bytes of a resource are not those indexed."
            )
        return data


def _cursor(row: Row[Any]) -> Cursor:
    return Cursor(value=int(row.place), key=int(row.key))


def _grade(score: int) -> str:
    """Of one who is not linked: as good as a certain one but not alone, or worth a look."""
    return "probable" if score >= _CERTAIN else "possible"
