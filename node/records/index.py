"""The local index: people found by demographics, documents found by person or id.

Each person has one identity of ours (QTF-1503: one per patient per node). A new document goes to
the identity that it matches with certainty; when it matches two that could be one person it joins
them; when it matches two that are certainly different people it gets an identity of its own,
because a guess would put a page into a stranger's chart. Ids once given stay valid after a join.

Synchronous; callers in async code use a thread (``node.records.source``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, RowMapping, Select, delete, func, insert, select

from node.exchange.ports import LocalPatient
from node.model import Demographics, DocumentEntry, PatientId
from node.records.entries import Community, Content, entry_of
from node.records.lookup import BusyError, EngineLookup, FileLookup
from node.records.people import Comparison, People, Placed, millis
from node.records.rules import Rules, default_rules
from node.records.stored_queries import Scope
from node.records.tables import DOCUMENT, FAILURE, PATIENT
from node.storage.engine import IMMEDIATE
from node.wire.document_facts import DocumentFacts

_ENTRY = TypeAdapter(DocumentEntry)
_IN_ONE_QUERY = 500
_AT_ONCE = 8
"""People whom an event loop may compare by itself: each takes some 50 microseconds."""


Row = RowMapping | dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A document whose bytes are in the store, ready to be indexed; ``path`` says where from.

    ``local_id`` is the person, where that was found out beforehand: what the document says of them
    then changes nothing of what we hold.
    """

    facts: DocumentFacts
    content: Content
    path: str
    local_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of a new document.

    ``duplicate`` means its content was there already; ``ambiguous`` that it matched several people
    with certainty and therefore stands alone; ``joined`` how many identities it united.
    """

    entry: DocumentEntry
    duplicate: bool = False
    new_patient: bool = False
    ambiguous: bool = False
    joined: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One indexed document: its entry, the store's name of its content, origin and notes."""

    entry: DocumentEntry
    sha256: str
    path: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file that is not in the index, and why; ``place`` is a line or offset."""

    path: str
    code: str
    sentence: str
    place: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much the index holds."""

    patients: int
    documents: int
    failures: int


class RecordIndex:
    """People and documents in the node's database."""

    def __init__(self, engine: Engine, community: Community, rules: Rules | None = None) -> None:
        """The tables must exist (``node.records.tables.create_tables`` or a migration)."""
        self._engine = engine
        self._writing = engine.execution_options(**{IMMEDIATE: True})
        self._file = FileLookup(engine) if engine.dialect.name == "sqlite" else None
        self.community = community
        self._people = People(community.assigning_authority, rules or default_rules())

    # --- writing ------------------------------------------------------------------------------

    def add(self, documents: Iterable[NewDocument], now: datetime) -> list[Added]:
        """Index documents in one transaction, in order."""
        with self._writing.begin() as connection:
            return [self._add(connection, document, now) for document in documents]

    def fail(self, failures: Iterable[Failure], now: datetime) -> None:
        """Keep the reasons why files could not be indexed; a newer reason replaces an older."""
        with self._writing.begin() as connection:
            for failure in failures:
                connection.execute(delete(FAILURE).where(FAILURE.c.path == failure.path))
                connection.execute(
                    insert(FAILURE).values(
                        path=failure.path,
                        code=failure.code,
                        sentence=failure.sentence[:512],
                        place=failure.place and failure.place[:128],
                        size=failure.size,
                        added=millis(now),
                    )
                )

    def add_patients(self, people: Iterable[tuple[str, Demographics]], now: datetime) -> None:
        """Take over people with ids of ours, as they are, without linking (from a master index).

        The ids must be new and at most 64 characters.
        """
        with self._writing.begin() as connection:
            waiting = iter(people)
            while some := list(islice(waiting, _IN_ONE_QUERY)):
                self._people.insert_all(connection, some, now)

    def place(self, person: Demographics, seed: str, now: datetime) -> str:
        """The local id of a person without a document: linked as documents are, or new."""
        with self._writing.begin() as connection:
            return self._people.place(connection, person, seed=seed, now=now).local_id

    def _add(self, connection: Connection, document: NewDocument, now: datetime) -> Added:
        held = _first(
            connection, select(DOCUMENT).where(DOCUMENT.c.sha256 == document.content.sha256)
        )
        connection.execute(delete(FAILURE).where(FAILURE.c.path == document.path))
        if held is not None:
            return Added(entry=self._entry(held), duplicate=True)
        placed = (
            Placed(local_id=document.local_id)
            if document.local_id is not None
            else self._people.place(
                connection, document.facts.patient, seed=document.content.sha256, now=now
            )
        )
        taken = _first(
            connection,
            select(DOCUMENT.c.entry_uuid).where(
                DOCUMENT.c.unique_id == (document.facts.unique_id or "")
            ),
        )
        entry, notes = entry_of(
            document.facts, document.content, self.community, own_id=taken is not None
        )
        row = {
            "entry_uuid": entry.entry_uuid,
            "patient_id": placed.local_id,
            "unique_id": entry.unique_id,
            "logical_id": entry.logical_id,
            "sha256": document.content.sha256,
            "path": document.path[:1024],
            "entry": _ENTRY.dump_json(entry),
            "notes": " ".join(notes)[:1024],
            "added": millis(now),
        }
        connection.execute(insert(DOCUMENT).values(**row))
        return Added(
            entry=self._entry(row),
            new_patient=placed.new,
            ambiguous=placed.ambiguous,
            joined=placed.joined,
        )

    # --- finding people -----------------------------------------------------------------------

    def match(self, demographics: Demographics) -> list[LocalPatient]:
        """The one person with these demographics, or nobody.

        Empty as well when two different people match with certainty: the demographics do not tell
        them apart, and neither may be shown as the other.
        """
        if self._file is not None:
            with contextlib.suppress(BusyError):
                self._file.open()
                with self._file.reading(wait=True) as lookup:
                    return self._certain(self._people.scored(lookup, demographics))
        with self._engine.connect() as connection:
            return self._certain(self._people.scored(EngineLookup(connection), demographics))

    def match_at_once(self, demographics: Demographics) -> list[LocalPatient] | None:
        """As ``match`` where that never waits and takes well below a millisecond, else ``None``.

        For an event loop: an answer is given only by a local file, open since the last ``match``,
        with few people to compare.
        """
        if self._file is None:
            return None
        try:
            with self._file.reading() as lookup:
                compared = self._people.scored_if_few(lookup, demographics, most=_AT_ONCE)
        except BusyError:
            return None
        return None if compared is None else self._certain(compared)

    def _certain(self, compared: Comparison) -> list[LocalPatient]:
        found = compared.decision.certain
        return [] if found is None else [self._local_patient(compared, found)]

    def candidates(self, demographics: Demographics) -> list[LocalPatient]:
        """Everybody worth a person's look, best first, the certain ones included."""
        with self._engine.connect() as connection:
            lookup = EngineLookup(connection)
            compared = self._people.scored(lookup, demographics, everybody=True)
        decision = compared.decision
        chosen = (decision.certain,) if decision.certain else decision.ambiguous
        return [self._local_patient(compared, i) for i in (*chosen, *decision.possible)]

    def _local_patient(self, compared: Comparison, local_id: str) -> LocalPatient:
        found = compared.scores[local_id]
        return LocalPatient(
            patient_id=self._people.patient_id(local_id),
            demographics=compared.people[local_id],
            score=found.percent,
            reasons=found.reasons,
        )

    def patient_id(self, local_id: str) -> PatientId:
        """A local id with our assigning authority."""
        return self._people.patient_id(local_id)

    def resolve(self, patient_id: PatientId) -> str | None:
        """The local id that a patient id of ours stands for now, or ``None``."""
        if patient_id.assigning_authority != self.community.assigning_authority:
            return None
        with self._engine.connect() as connection:
            query = select(PATIENT.c.id, PATIENT.c.merged_into)
            row = connection.execute(query.where(PATIENT.c.id == patient_id.id)).first()
        return None if row is None else str(row.merged_into or row.id)

    def demographics(self, patient_id: PatientId) -> Demographics | None:
        """What is known of a person, or ``None``."""
        local_id = self.resolve(patient_id)
        if local_id is None:
            return None
        with self._engine.connect() as connection:
            return self._people.known(EngineLookup(connection), [local_id]).get(local_id)

    def identifiers(self, patient_id: PatientId) -> list[PatientId]:
        """All ids of a person: those we gave (joined ones too) and those of the sources."""
        local_id = self.resolve(patient_id)
        if local_id is None:
            return []
        with self._engine.connect() as connection:
            joined = connection.execute(
                select(PATIENT.c.id).where(PATIENT.c.merged_into == local_id)
            ).scalars()
            own = [self._people.patient_id(i) for i in (local_id, *joined)]
            known = self._people.known(EngineLookup(connection), [local_id])[local_id]
        return list(dict.fromkeys((*own, *known.identifiers)))

    # --- finding documents --------------------------------------------------------------------

    def entries(self, scope: Scope) -> list[DocumentEntry]:
        """The entries of a stored query's scope.

        Those of one patient carry the patient id as it was asked for, which may be an older one.
        """
        if scope.patient_id is not None:
            local_id = self.resolve(scope.patient_id)
            where = DOCUMENT.c.patient_id == (local_id or "")
            with self._engine.connect() as connection:
                rows = connection.execute(select(DOCUMENT).where(where)).mappings().all()
            return [self._entry(row, asked_as=scope.patient_id) for row in rows]
        found: dict[str, DocumentEntry] = {}
        with self._engine.connect() as connection:
            for column, values in (
                (DOCUMENT.c.entry_uuid, scope.entry_uuids),
                (DOCUMENT.c.unique_id, scope.unique_ids),
                (DOCUMENT.c.logical_id, scope.logical_ids),
            ):
                for start in range(0, len(values), _IN_ONE_QUERY):
                    part = values[start : start + _IN_ONE_QUERY]
                    for row in connection.execute(
                        select(DOCUMENT).where(column.in_(part))
                    ).mappings():
                        found[row["entry_uuid"]] = self._entry(row)
        return list(found.values())

    def held(self, unique_id: str) -> Held | None:
        """One document by its unique id, or ``None``."""
        with self._engine.connect() as connection:
            row = _first(connection, select(DOCUMENT).where(DOCUMENT.c.unique_id == unique_id))
        return None if row is None else self._held(row)

    def documents(self, *, after: str = "", limit: int = 100) -> list[Held]:
        """A page of documents by entry id; ``after`` is the last one of the page before."""
        query = select(DOCUMENT).where(DOCUMENT.c.entry_uuid > after)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(DOCUMENT.c.entry_uuid).limit(limit)).mappings()
            return [self._held(row) for row in rows]

    def of_person(self, local_id: str, *, limit: int = 10_000) -> list[Held]:
        """The documents of a person by local id."""
        query = select(DOCUMENT).where(DOCUMENT.c.patient_id == local_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(DOCUMENT.c.entry_uuid).limit(limit)).mappings()
            return [self._held(row) for row in rows]

    def failures(self, *, after: str = "", limit: int = 100) -> list[Failure]:
        """A page of files that are not indexed, by path."""
        query = select(FAILURE).where(FAILURE.c.path > after)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(FAILURE.c.path).limit(limit)).mappings()
            return [
                Failure(
                    path=r["path"],
                    code=r["code"],
                    sentence=r["sentence"],
                    place=r["place"],
                    size=r["size"],
                )
                for r in rows
            ]

    def counts(self) -> Counts:
        """How many people, documents and failures there are."""
        with self._engine.connect() as connection:

            def count(query: Select[Any]) -> int:
                return int(connection.execute(query).scalar_one())

            people = select(func.count()).select_from(PATIENT)
            return Counts(
                patients=count(people.where(PATIENT.c.merged_into.is_(None))),
                documents=count(select(func.count()).select_from(DOCUMENT)),
                failures=count(select(func.count()).select_from(FAILURE)),
            )

    def _entry(self, row: Row, asked_as: PatientId | None = None) -> DocumentEntry:
        own = self._people.patient_id(row["patient_id"])
        entry = _ENTRY.validate_json(row["entry"])
        # once: it takes as long as all the reading
        return replace(
            entry, patient_id=asked_as or own, source_patient_id=entry.source_patient_id or own
        )

    def _held(self, row: Row) -> Held:
        return Held(
            entry=self._entry(row),
            sha256=row["sha256"],
            path=row["path"],
            notes=tuple(row["notes"].split()),
        )


def _first(connection: Connection, query: Select[Any]) -> Row | None:
    return connection.execute(query.limit(1)).mappings().first()
